(** The relative error of `exp` of convergence_jax/exact/exp_ln.py, for every argument that it takes.

    Proved: what Exp.v computes, on the words and tables of the code, is within 3.7 * 2^-64 of the
      exponential,
    relatively; so within `EXP_ERROR` = 2^-62. *)
From Coq Require Import ZArith Reals List Lia Lra.
From Flocq Require Import Core.Raux.
From Interval Require Import Tactic.
From Convergence Require Import Constants FixedReals Tables Exp.
Open Scope R_scope.

Notation unit := (/ 18446744073709551616) (only parsing).

(** The real that two words stand for, and the positive number that a pair stands for. *)
Definition value (x : fixed) : R := IZR (units x) * unit.
Definition number (pair : Z * Z) : R := IZR (snd pair) / 9223372036854775808 * exp (IZR (fst pair) * ln 2).

(** ** The method: a polynomial of degree six, without any rounding *)

Definition series (t : R) : R :=
  t * (exp_coefficient 1 + t * (exp_coefficient 2 + t * (exp_coefficient 3 +
  t * (exp_coefficient 4 + t * (exp_coefficient 5 + t * exp_coefficient 6))))).

Lemma series_is_near (t : R) : 0 <= t <= 1 ->
  - 0.01 * unit <= 256 * (exp (t / 256 * ln 2) - 1) - series t <= 1.02 * unit.
Proof.
  intros Ht. unfold series, exp_coefficient. rewrite !INR_IZR_INZ.
  repeat match goal with |- context [Z.of_nat ?n] =>
    let z := eval vm_compute in (Z.of_nat n) in change (Z.of_nat n) with z end.
  interval with (i_bisect t, i_taylor t, i_degree 9, i_prec 130).
Qed.

(** ** One step of Horner's rule *)

Ltac in_reals H := repeat (rewrite plus_IZR in H || rewrite mult_IZR in H || rewrite minus_IZR in H);
  change (IZR (2 ^ 64)) with 18446744073709551616 in H; change (IZR (2 ^ 8)) with 256 in H.

Lemma step_error (t h c q : Z) (exact rest low high : R) : is_step t h c q -> 0 <= IZR t * unit <= 1 ->
  nearest c exact -> low <= IZR h - rest <= high -> low <= 0 <= high ->
  low - 3 / 2 <= IZR q - (exact + IZR t * unit * rest) <= high + 1 / 2.
Proof.
  intros [below above] Ht near error signs. unfold nearest in near.
  apply Rabs_le_inv in near.
  apply IZR_le in below. apply IZR_lt in above.
  in_reals below. in_reals above.
  set (s := IZR t * unit) in *. replace (IZR t) with (s * 18446744073709551616) in * by (unfold s; field).
  clearbody s. assert (IZR q - IZR c <= s * IZR h < IZR q - IZR c + 1) by lra.
  assert (low <= s * (IZR h - rest) <= high) by nra. lra.
Qed.

Lemma polynomial_error (t p : Z) : (0 <= t < 2 ^ 64)%Z -> is_step t (polynomial t EXP_COEFFICIENTS) 0 p ->
  -9 <= IZR p - series (IZR t * unit) * 18446744073709551616 <= 3.
Proof.
  intros Ht last. destruct (polynomial_is_rounded_as_stated t Ht) as [near _].
  destruct near as (h2 & h3 & h4 & h5 & step5 & step4 & step3 & step2 & step1).
  set (h1 := polynomial t EXP_COEFFICIENTS) in *.
  assert (s_range : 0 <= IZR t * unit <= 1).
  { destruct Ht as [low high]. apply IZR_le in low. apply IZR_lt in high.
    change (IZR (2 ^ 64)) with 18446744073709551616 in high. lra. }
  assert (near : forall n, (1 <= n <= 6)%nat ->
    nearest (nth (n - 1) EXP_COEFFICIENTS 0%Z) (exp_coefficient n * 18446744073709551616)).
  { intros n Hn. replace 18446744073709551616 with (2 ^ 64) by lra. apply exp_coefficients_are_nearest, Hn. }
  assert (error6 : -1 / 2 <= IZR (nth 5 EXP_COEFFICIENTS 0%Z) - exp_coefficient 6 * 18446744073709551616 <=
    1 / 2).
  { specialize (near 6%nat ltac:(lia)). cbn [Nat.sub] in near. unfold nearest in near.
    apply Rabs_le_inv in near. lra. }
  cbn [Nat.sub] in *.
  pose proof (step_error _ _ _ _ _ _ _ _ step5 s_range (near 5%nat ltac:(lia)) error6 ltac:(lra)) as error5.
  pose proof (step_error _ _ _ _ _ _ _ _ step4 s_range (near 4%nat ltac:(lia)) error5 ltac:(lra)) as error4.
  pose proof (step_error _ _ _ _ _ _ _ _ step3 s_range (near 3%nat ltac:(lia)) error4 ltac:(lra)) as error3.
  pose proof (step_error _ _ _ _ _ _ _ _ step2 s_range (near 2%nat ltac:(lia)) error3 ltac:(lra)) as error2.
  pose proof (step_error _ _ _ _ _ _ _ _ step1 s_range (near 1%nat ltac:(lia)) error2 ltac:(lra)) as error1.
  destruct last as [below above]. apply IZR_le in below. apply IZR_lt in above.
  in_reals below. in_reals above. unfold series.
  set (s := IZR t * unit) in *. replace (IZR t) with (s * 18446744073709551616) in * by (unfold s; field).
  clearbody s. clearbody h1. clear - below above error1 s_range.
  match type of error1 with _ <= _ - ?x <= _ => set (S1 := x) in * end.
  assert (-8 <= s * (IZR h1 - S1) <= 3) by nra.
  assert (same : s * S1 = s * (exp_coefficient 1 + s * (exp_coefficient 2 + s * (exp_coefficient 3 +
    s * (exp_coefficient 4 + s * (exp_coefficient 5 + s * exp_coefficient 6))))) * 18446744073709551616)
    by (unfold S1; ring).
  rewrite <- same. lra.
Qed.

(** ** The mantissa: within 1.05 of its unit *)

Lemma mantissa_error (i f : Z) : (0 <= i < TABLE_STEPS)%Z -> (0 <= f < 2 ^ 56)%Z ->
  let t := (f * 2 ^ 8)%Z in
  let exact := 9223372036854775808 * exp ((IZR i / 256 + IZR t * unit / 256) * ln 2) in
  9223372036854775808 <= exact /\ Rabs (IZR (mantissa_of (exp_entry i) t) - exact) <= 1.05 /\
  (2 ^ 63 <= mantissa_of (exp_entry i) t < 2 ^ 64)%Z.
Proof.
  intros Hi Hf. cbv zeta.
  destruct (mantissa_is_rounded_as_stated i f Hi Hf) as (p & growth & p_step & growth_step & p_low & facts).
  pose proof (exp_table_is_nearest i Hi) as base_near.
  set (t := (f * 2 ^ 8)%Z) in *. set (base := exp_entry i) in *. set (m := mantissa_of base t) in *.
  destruct facts as (base_range & m_range & rounding).
  assert (Ht : (0 <= t < 2 ^ 64)%Z) by (subst t; lia).
  pose proof (polynomial_error t p Ht p_step) as p_error.
  assert (s_range : 0 <= IZR t * unit <= 1).
  { destruct Ht as [low high]. apply IZR_le in low. apply IZR_lt in high.
    change (IZR (2 ^ 64)) with 18446744073709551616 in high. lra. }
  pose proof (series_is_near _ s_range) as method.
  unfold nearest, Rpower in base_near. change (IZR (2 ^ 63)) with 9223372036854775808 in base_near.
  apply Rabs_le_inv in base_near.
  assert (i_range : 0 <= IZR i / 256 <= 1).
  { destruct Hi as [low high]. apply IZR_le in low. apply IZR_lt in high. unfold TABLE_STEPS in high. lra. }
  rewrite Rmult_plus_distr_r, exp_plus. set (s := IZR t * unit) in *. clearbody s.
  set (T := exp (IZR i / 256 * ln 2)) in *.
  assert (T_range : 1 <= T <= 2.001) by (unfold T; generalize dependent (IZR i / 256); intros;
    split; interval with (i_prec 60)).
  set (E := exp (s / 256 * ln 2)) in *.
  assert (E_range : 1 <= E <= 1.003) by (unfold E; split; interval with (i_prec 60)).
  clearbody T E. split; [nra|]. split; [|lia].
  destruct growth_step as [below above]. rewrite Z.sub_0_r in below, above.
  destruct rounding as [round_low round_high]. destruct base_range as [_ base_high].
  apply IZR_le in below, round_low, p_low. apply IZR_lt in above, round_high, base_high.
  in_reals below. in_reals above. in_reals round_low. in_reals round_high. in_reals base_high.
  generalize dependent (IZR base); intros b. generalize dependent (IZR growth); intros g.
  generalize dependent (IZR p); intros q. generalize dependent (IZR m); intros n.
  intros. clear - p_low p_error method base_near below above round_low round_high base_high T_range E_range.
  set (P := q * unit). assert (P_error : - 9.01 * unit <= P - 256 * (E - 1) + 1.01 * unit <= 4.1 * unit) by
    (unfold P; lra).
  assert (b * P - 1 <= g <= b * P) by (unfold P; split; lra).
  assert (b_positive : 0 <= b) by lra.
  assert (product : -10.1 <= b * (P - 256 * (E - 1)) <= 3.2).
  { assert (-10.03 * unit <= P - 256 * (E - 1) <= 3.1 * unit) by lra.
    set (d := P - 256 * (E - 1)) in *. clearbody d. nra. }
  assert (table : -0.502 <= (b - T * 9223372036854775808) * E <= 0.502) by nra.
  apply Rabs_le. 
  assert (n - 9223372036854775808 * (T * E) = (b - T * 9223372036854775808) * E + (n - b * E)) by ring.
  assert (n - b * E = (n - b - g / 256) + (g - b * P) / 256 + b * (P - 256 * (E - 1)) / 256) by field.
  lra.
Qed.

(** ** The power of two: within 2.25 units of [x / ln 2] *)

Lemma power_error (x : fixed) : is_fixed x -> (- 2 ^ RANGE_BITS <= fst x < 2 ^ RANGE_BITS)%Z ->
  Rabs (value (power_of x) - value x / ln 2) <= 2.2501 * unit.
Proof.
  intros Hx range. destruct (power_is_rounded_as_stated x Hx range) as (rest & rest_range & _ & _ & near).
  cbv zeta in near. destruct Hx as [_ [f_low f_high]]. destruct x as [n f]. cbn [fst snd] in *.
  pose proof log2e_digits_are_nearest as digits. pose proof log2e_is_nearest as rounded.
  unfold nearest in digits, rounded. apply Rabs_le_inv in digits. apply Rabs_le_inv in rounded.
  replace (2 ^ 96) with (18446744073709551616 * 4294967296) in digits by lra.
  replace (2 ^ 64) with 18446744073709551616 in rounded by lra.
  unfold value. set (made := units (power_of (n, f))) in *. clearbody made.
  assert (as_sum : IZR (units (n, f)) = IZR n * 18446744073709551616 + IZR f).
  { unfold units. cbn [fst snd]. rewrite plus_IZR, mult_IZR. reflexivity. }
  destruct near as [below above], rest_range as [rest_low rest_high], range as [n_low n_high].
  unfold RANGE_BITS in *. change (2 ^ 31)%Z with 2147483648%Z in *.
  apply IZR_le in below, above, rest_low, rest_high, n_low, f_low. apply IZR_lt in n_high, f_high.
  change (- 2 ^ 63)%Z with (-9223372036854775808)%Z in below.
  change (2 ^ 63)%Z with 9223372036854775808%Z in above.
  in_reals below. in_reals above. in_reals rest_high. in_reals f_high.
  change (IZR (2 ^ 32)) with 4294967296 in *. change (IZR (- (2147483648))) with (-2147483648) in n_low.
  rewrite as_sum in *. unfold Rdiv at 1.
  replace (/ ln 2) with (1 + (1 / ln 2 - 1)) by (field; apply Rgt_not_eq; interval with (i_prec 60)).
  set (c := 1 / ln 2 - 1) in *. clearbody c. clear as_sum.
  generalize dependent (IZR (of_digits LOG2E_DIGITS)); intros d. generalize dependent (IZR LOG2E); intros l.
  generalize dependent (IZR n); intros n'. generalize dependent (IZR f); intros f'.
  generalize dependent (IZR made); intros m. generalize dependent (IZR rest); intros r. intros.
  set (B := 18446744073709551616) in *.
  assert (B_value : B = 18446744073709551616) by reflexivity. clearbody B.
  assert (digits_error : - 1073741824 <= n' * (d - c * (B * 4294967296)) <= 1073741824) by nra.
  assert (word_error : - B / 2 <= f' * (l - c * B) <= B / 2) by nra.
  assert (total : B * (m - (n' * B + f') * (1 + c)) = (m * B -
    ((n' * B + f') * 4294967296 + n' * d) * 4294967296 - f' * l) + n' * (d - c * (B * 4294967296)) *
      4294967296
    + f' * (l - c * B)) by (rewrite B_value; ring).
  assert (-2.2501 * B <= B * (m - (n' * B + f') * (1 + c)) <= 2.2501 * B) by lra.
  assert (-2.2501 <= m - (n' * B + f') * (1 + c) <= 2.2501) by (subst B; lra).
  apply Rabs_le. subst B. lra.
Qed.

(** ** The theorem *)

Theorem exp_error_is_below_3_66_units (x : fixed) : is_fixed x ->
  (- 2 ^ RANGE_BITS <= fst x < 2 ^ RANGE_BITS)%Z ->
  Rabs (number (exp_word x) / exp (value x) - 1) <= 3.661 * unit /\
  (2 ^ 63 <= snd (exp_word x) < 2 ^ 64)%Z /\ (- 2 ^ 33 <= fst (exp_word x) <= 2 ^ 33)%Z.
Proof.
  intros Hx range. pose proof (power_error x Hx range) as near.
  destruct (power_is_rounded_as_stated x Hx range) as (_ & _ & [_ f_range] & exponent_range & _).
  unfold exp_word. destruct (power_of x) as [e f]. cbn [fst snd] in *. unfold is_word in f_range.
  assert (split_f : (f = Z.shiftr f 56 * 2 ^ 56 + f mod 2 ^ 56)%Z).
  { rewrite right_is_quotient by lia. pose proof (Z.div_mod f (2 ^ 56) ltac:(lia)). lia. }
  assert (t_part : word (Z.shiftl f 8) = (f mod 2 ^ 56 * 2 ^ 8)%Z).
  { rewrite left_is_product by lia. unfold word. change (2 ^ 64)%Z with (2 ^ 56 * 2 ^ 8)%Z.
    apply Z.mul_mod_distr_r; discriminate. }
  pose proof (Z.mod_pos_bound f (2 ^ 56) ltac:(lia)) as low_range.
  assert (i_range : (0 <= Z.shiftr f 56 < TABLE_STEPS)%Z) by (unfold TABLE_STEPS; lia).
  rewrite t_part. pose proof (mantissa_error _ _ i_range low_range) as made. cbv zeta in made.
  set (i := Z.shiftr f 56) in *. set (low := (f mod 2 ^ 56)%Z) in *. clearbody i low. clear t_part.
  set (m := mantissa_of (exp_entry i) (low * 2 ^ 8)) in *. clearbody m.
  destruct made as (large & m_near & m_range). split; [|split; assumption].
  assert (as_real : value (e, f) = IZR e + (IZR i / 256 + IZR (low * 2 ^ 8) * unit / 256)).
  { unfold value, units. cbn [fst snd]. rewrite split_f, !plus_IZR, !mult_IZR.
    change (IZR (2 ^ 64)) with 18446744073709551616. change (IZR (2 ^ 56)) with 72057594037927936.
    change (IZR (2 ^ 8)) with 256. field. }
  rewrite as_real in near. set (theta := IZR i / 256 + IZR (low * 2 ^ 8) * unit / 256) in *.
  clearbody theta. unfold number. cbn [fst snd]. generalize dependent (IZR m); intros m' m_near.
  set (v := value x) in *. clearbody v. set (exact := 9223372036854775808 * exp (theta * ln 2)) in *.
  set (error := (IZR e + theta - v / ln 2) * ln 2).
  assert (ln2_range : 0.69 <= ln 2 <= 0.693148) by (split; interval with (i_prec 60)).
  assert (error_range : - 1.5597 * unit <= error <= 1.5597 * unit).
  { apply Rabs_le_inv in near. unfold error. split; nra. }
  assert (quotient : m' / 9223372036854775808 * exp (IZR e * ln 2) / exp v
                     = (1 + (m' - exact) / exact) * exp error).
  { replace (IZR e * ln 2) with (v + error - theta * ln 2) by (unfold error; field; lra).
    unfold Rminus at 1. rewrite !exp_plus, exp_Ropp. unfold exact. field.
    split; apply Rgt_not_eq, exp_pos. }
  rewrite quotient. clear quotient near as_real. clearbody error.
  set (relative := (m' - exact) / exact).
  assert (relative_range : - 2.1001 * unit <= relative <= 2.1001 * unit).
  { apply Rabs_le_inv in m_near.
    assert (m' - exact = relative * exact) by (unfold relative; field; lra).
    clearbody relative exact. split; nra. }
  clearbody relative. assert (- 1.5598 * unit <= exp error - 1 <= 1.5598 * unit).
  { split; interval with (i_prec 160). }
  apply Rabs_le. split; nra.
Qed.

(** `EXP_ERROR` of exp_ln.py is [2^-62]. *)
Theorem exp_keeps_its_bound (x : fixed) : is_fixed x -> (- 2 ^ RANGE_BITS <= fst x < 2 ^ RANGE_BITS)%Z ->
  Rabs (number (exp_word x) / exp (value x) - 1) < / 2 ^ 62.
Proof.
  intros Hx range. destruct (exp_error_is_below_3_66_units x Hx range) as [error _].
  eapply Rle_lt_trans; [exact error|]. lra.
Qed.

