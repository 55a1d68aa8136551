(** The error of `LogSumExp` of convergence_jax/exact/log_sum_exp.py, for any number of observations.

    Models the statistic on finite observations below 2048 in magnitude, from their bits to what `present`
    rounds once; one of minus infinity adds nothing. Proved: that is within 7.95 * 2^-64 of the logarithm of
    the sum of the exponentials of the observations as given, fewer than 2^74 of them; so within
    `LOG_SUM_EXP_ERROR` = 2^-61. Of that, reading an observation makes 0.5, `exp` 3.66, the leading 64 bits of
    the sum 2 and `ln` 1.78; the sum, being exact, makes nothing. *)
From Coq Require Import ZArith Reals List Lia Lra.
From Flocq Require Import Core.Raux Core.Zaux.
From Interval Require Import Tactic.
From Convergence Require Residues.
From Convergence Require Import Constants Floats FixedReals Tables Exp ExpError Ln LnError FromFloat.
From Convergence Require Import ExponentialSums.
Import ListNotations.
Open Scope R_scope.

(** `exp(reals.from_float(x))` of `_place`; and `present` of what `collect` made, before `to_float`. *)
Definition exponential (d : decoded) : Z * Z := exp_word (from_float d).
Definition presented (observations : list decoded) : fixed :=
  let '(exponent, mantissa) := leading (collected (map exponential observations)) in
  ln_word exponent mantissa.

(** What it should be the logarithm of. *)
Definition exact_sum (observations : list decoded) : R :=
  fold_right (fun d sum => exp (real_of d) + sum) 0 observations.

(** ** One exponential *)

Lemma power_of_two_is_exp (e : Z) : exp (IZR e * ln 2) = bpow radix2 e.
Proof. rewrite bpow_exp. reflexivity. Qed.

Lemma the_exponent_is_a_whole_part (x : fixed) : fst (exp_word x) = fst (power_of x).
Proof. unfold exp_word. cbn [fst]. reflexivity. Qed.

Lemma an_exponential_has_its_place (d : decoded) : held d -> is_exponential (exponential d).
Proof.
  intros Hd. destruct (from_float_is_nearest d Hd) as (_ & x_fixed & x_range). unfold exponential.
  set (x := from_float d) in *. clearbody x. clear Hd.
  assert (range : (- 2 ^ RANGE_BITS <= fst x < 2 ^ RANGE_BITS)%Z) by (unfold RANGE_BITS; lia).
  destruct (exp_error_is_below_3_66_units x x_fixed range) as (_ & mantissa_range & _).
  split; [|exact mantissa_range]. clear mantissa_range.
  pose proof (power_error x x_fixed range) as near.
  destruct (power_is_rounded_as_stated x x_fixed range) as (_ & _ & [_ f_range] & _ & _).
  rewrite the_exponent_is_a_whole_part. destruct (power_of x) as [e f].
  destruct x_fixed as [_ g_range]. destruct x as [n g]. cbn [fst snd] in *.
  unfold value, units, is_word in *. cbn [fst snd] in *. rewrite !plus_IZR, !mult_IZR in near.
  change (IZR (2 ^ 64)) with 18446744073709551616 in near.
  destruct x_range as [n_low n_high], f_range as [f_low f_high], g_range as [g_low g_high].
  apply IZR_le in n_low, f_low, g_low. apply IZR_lt in f_high, g_high.
  assert (n_top : (n <= 2047)%Z) by lia. apply IZR_le in n_top.
  change (IZR (2 ^ 64)) with 18446744073709551616 in *.
  set (v := (IZR n * 18446744073709551616 + IZR g) * unit) in *.
  assert (v_range : - 2048 <= v <= 2048) by (unfold v; lra).
  assert (quotient : - 2954.7 <= v / ln 2 <= 2954.7) by (clearbody v; split; interval with (i_prec 60)).
  apply Rabs_le_inv in near. set (w := v / ln 2) in *. clearbody w. clear - near quotient f_low f_high.
  assert (- 2955.8 < IZR e < 2954.8) by lra.
  split; [apply Z.lt_succ_r, Z.lt_pred_lt_succ | apply Z.lt_succ_r]; apply lt_IZR; cbn; lra.
Qed.

Lemma a_number_is_its_term (pair : Z * Z) : is_exponential pair ->
  number pair = IZR (term_of pair) * bpow radix2 EXPONENTIAL_lsb.
Proof.
  destruct pair as [e m]. unfold is_exponential, number, term_of, bit_of, EXPONENTIAL_lsb. cbn [fst snd].
  intros [He _]. rewrite power_of_two_is_exp, mult_IZR, (IZR_Zpower radix2) by lia.
  rewrite Rmult_assoc, <- bpow_plus.
  replace e with (63 + (e - (63 + -3018) + -3018))%Z at 1 by ring. rewrite (bpow_plus _ 63).
  change (bpow radix2 63) with 9223372036854775808. field.
Qed.

Lemma an_exponential_is_near (d : decoded) : held d ->
  Rabs (number (exponential d) - exp (real_of d)) <= 4.162 * unit * exp (real_of d).
Proof.
  intros Hd. destruct (from_float_is_nearest d Hd) as (near & x_fixed & x_range). unfold exponential.
  assert (range : (- 2 ^ RANGE_BITS <= fst (from_float d) < 2 ^ RANGE_BITS)%Z) by (unfold RANGE_BITS; lia).
  destruct (exp_error_is_below_3_66_units _ x_fixed range) as [error _].
  set (made := number (exp_word (from_float d))) in *. clearbody made.
  set (x := value (from_float d)) in *. clearbody x. set (r := real_of d) in *. clearbody r.
  replace x with (r + (x - r)) in error by ring. set (delta := x - r) in *.
  rewrite exp_plus in error. pose proof (exp_pos r) as positive. pose proof (exp_pos delta).
  assert (shift : Rabs (exp delta - 1) <= 0.5001 * unit).
  { apply Rabs_le_inv in near. clearbody delta. apply Rabs_le. split; interval with (i_prec 160). }
  clearbody delta. set (D := exp delta) in *. set (E := exp r) in *. clearbody D E.
  set (a := made / (E * D) - 1) in *. assert (made_is : made = (1 + a) * D * E) by (unfold a; field; lra).
  clearbody a. apply Rabs_le_inv in error, shift.
  assert (-4.162 * unit <= (1 + a) * D - 1 <= 4.162 * unit) by (split; nra).
  apply Rabs_le. rewrite made_is. split; nra.
Qed.

(** ** The sum *)

Lemma all_have_their_place (observations : list decoded) : Forall held observations ->
  Forall is_exponential (map exponential observations).
Proof. induction 1; cbn; constructor; trivial. apply an_exponential_has_its_place. assumption. Qed.

(** Positive terms: a sum is no worse, relatively, than the worst of them, however many there are. *)
Lemma the_sum_is_near (observations : list decoded) : Forall held observations ->
  let made := IZR (sum_of (map exponential observations)) * bpow radix2 EXPONENTIAL_lsb in
  Rabs (made - exact_sum observations) <= 4.162 * unit * exact_sum observations /\
  0 <= exact_sum observations.
Proof.
  cbv zeta. induction 1 as [|d rest Hd _ [IH positive]].
  - change (exact_sum []) with 0. change (sum_of (map exponential [])) with 0%Z.
    rewrite Rmult_0_l, Rminus_0_r, Rabs_R0. lra.
  - cbn [map sum_of exact_sum fold_right]. fold (sum_of (map exponential rest)) (exact_sum rest).
    rewrite plus_IZR, Rmult_plus_distr_r.
    rewrite <- a_number_is_its_term by (apply an_exponential_has_its_place; assumption).
    pose proof (an_exponential_is_near d Hd) as near. pose proof (exp_pos (real_of d)).
    split; [|lra]. apply Rabs_le_inv in near, IH. apply Rabs_le. lra.
Qed.

(** ** The leading bits *)

Lemma the_leading_bits_are_near (v : Z) : (0 < v < Residues.modulus LENGTH)%Z ->
  let pair := leading (Residues.digits LENGTH v) in let sum := IZR v * bpow radix2 EXPONENTIAL_lsb in
  (- 2 ^ RANGE_BITS < fst pair < 2 ^ RANGE_BITS)%Z /\ (2 ^ 63 <= snd pair < 2 ^ 64)%Z /\
  0 < number pair <= sum /\ sum <= number pair * (1 + 2 * unit).
Proof.
  intros Hv. pose proof (the_leading_bits_are_rounded_down v Hv) as read.
  destruct (leading (Residues.digits LENGTH v)) as [e m]. cbv zeta. cbn [fst snd].
  destruct read as (m_range & e_range & [below above]). unfold bit_of, RANGE_BITS in *.
  split; [unfold EXPONENTIAL_lsb in *; lia|]. split; [exact m_range|].
  unfold number. cbn [fst snd]. rewrite power_of_two_is_exp.
  apply IZR_le in below. apply IZR_lt in above. rewrite plus_IZR in above. rewrite !mult_IZR in below, above.
  change (IZR (2 ^ 64)) with 18446744073709551616 in *. rewrite (IZR_Zpower radix2) in below, above by lia.
  destruct m_range as [m_low _]. apply IZR_le in m_low.
  change (IZR (2 ^ 63)) with 9223372036854775808 in m_low.
  replace e with (e - (63 + EXPONENTIAL_lsb) + 64 + (-1) + EXPONENTIAL_lsb)%Z at 1 2 3 by ring.
  set (position := (e - (63 + EXPONENTIAL_lsb) + 64)%Z) in *. clearbody position.
  rewrite !bpow_plus. change (bpow radix2 (-1)) with (/ 2).
  pose proof (bpow_gt_0 radix2 position) as p_positive.
  pose proof (bpow_gt_0 radix2 EXPONENTIAL_lsb) as l_positive.
  set (p := bpow radix2 position) in *. set (l := bpow radix2 EXPONENTIAL_lsb) in *. clearbody p l.
  set (x := IZR m * p) in *.
  assert (x_large : 9223372036854775808 * p <= x) by (unfold x; nra).
  replace (IZR m / 9223372036854775808 * (p * / 2 * l)) with (x * unit * l) by (unfold x; field).
  clearbody x. assert (x * unit <= IZR v <= x * unit * (1 + 2 * unit)) by lra.
  split; [split; nra | nra].
Qed.

(** ** The theorem *)

Theorem log_sum_exp_error_is_below_7_95_units (observations : list decoded) : observations <> [] ->
  Forall held observations -> (Z.of_nat (length observations) < 2 ^ 74)%Z ->
  Rabs (value (presented observations) - ln (exact_sum observations)) <= 7.95 * unit.
Proof.
  intros some all count. pose proof (all_have_their_place observations all) as placed.
  destruct (fewer_than_2_74_cannot_wrap_around _ placed) as [sum_range _]; [rewrite map_length; exact count|].
  destruct (sum_is_below_count _ placed) as [at_least _]. rewrite map_length in at_least.
  assert (v_range : (0 < sum_of (map exponential observations) < Residues.modulus LENGTH)%Z).
  { split.
    - destruct observations; [congruence|]. cbn [length] in at_least. lia.
    - destruct sum_range as [_ below]. eapply Z.lt_le_trans; [exact below|].
      rewrite Residues.modulus_power_of_two. apply Z.pow_le_mono_r; [reflexivity | discriminate]. }
  unfold presented. rewrite merges_hold_the_sum by assumption.
  destruct (the_sum_is_near observations all) as [near _].
  pose proof (the_leading_bits_are_near _ v_range) as read. cbv zeta in read.
  destruct (leading (Residues.digits LENGTH (sum_of (map exponential observations)))) as [e m].
  cbn [fst snd] in read. destruct read as (e_range & m_range & [positive below] & above).
  destruct (ln_error_is_below_1_78_units e m e_range m_range) as [error _].
  set (made := IZR (sum_of (map exponential observations)) * bpow radix2 EXPONENTIAL_lsb) in *.
  clearbody made. set (P := number (e, m)) in *. clearbody P. set (T := exact_sum observations) in *.
  clearbody T. set (answer := value (ln_word e m)) in *. clearbody answer.
  clear - near positive below above error. apply Rabs_le_inv in near.
  assert (T_positive : 0 < T) by nra.
  set (y := P / T - 1). assert (P_is : P = T * (1 + y)) by (unfold y; field; lra). clearbody y. subst P.
  assert (y_range : - 6.163 * unit <= y <= 4.163 * unit).
  { split; apply Rmult_le_reg_l with (1 := T_positive); nra. }
  rewrite ln_mult in error by lra.
  assert (logarithm : - 6.165 * unit <= ln (1 + y) <= 6.165 * unit) by (split; interval with (i_prec 160)).
  apply Rabs_le_inv in error. apply Rabs_le. lra.
Qed.

(** `LOG_SUM_EXP_ERROR` of log_sum_exp.py is [2^-61]. *)
Theorem log_sum_exp_keeps_its_bound (observations : list decoded) : observations <> [] ->
  Forall held observations -> (Z.of_nat (length observations) < 2 ^ 74)%Z ->
  Rabs (value (presented observations) - ln (exact_sum observations)) < / 2 ^ 61.
Proof.
  intros some all count.
  eapply Rle_lt_trans; [exact (log_sum_exp_error_is_below_7_95_units observations some all count)|]. lra.
Qed.
