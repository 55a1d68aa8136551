(** The absolute error of `ln` of convergence_jax/exact/exp_ln.py, for every argument that it takes.

    Proved: what Ln.v computes, on the words and tables of the code, is within 1.78 * 2^-64 of the logarithm;
    so within `LN_ERROR` = 2^-63. On the way: no word of the sum with the table wraps around. *)
From Coq Require Import ZArith Reals List Lia Lra.
From Flocq Require Import Core.Raux.
From Interval Require Import Tactic.
From Convergence Require Import Constants FixedReals Tables Exp ExpError Ln.
Open Scope R_scope.

(** ** The method: a polynomial of degree eight, without any rounding *)

Definition ln_coefficient (n : Z) : R := 128 / 128 ^ Z.to_nat n / IZR n.
Definition ln_series (t : R) : R :=
  ln_coefficient 2 - t * (ln_coefficient 3 - t * (ln_coefficient 4 - t * (ln_coefficient 5 -
  t * (ln_coefficient 6 - t * (ln_coefficient 7 - t * ln_coefficient 8))))).

Lemma ln_series_is_near (t : R) : 0 <= t <= 1 / 2 ->
  - 0.01 * unit <= 128 * ln (1 + t / 128) - (t - t * (t * ln_series t)) <= 0.06 * unit.
Proof.
  intros Ht. unfold ln_series, ln_coefficient.
  repeat match goal with |- context [Z.to_nat ?n] =>
    let z := eval vm_compute in (Z.to_nat n) in change (Z.to_nat n) with z end.
  interval with (i_bisect t, i_taylor t, i_degree 11, i_prec 130).
Qed.

(** ** One step of Horner's rule *)

Lemma step_down_error (t h c q : Z) (exact rest low high : R) : is_step_down t h c q ->
  0 <= IZR t * unit <= 1 / 2 -> nearest c exact -> low <= IZR h - rest <= high -> low <= 0 <= high ->
  - 1 / 2 - high / 2 <= IZR q - (exact - IZR t * unit * rest) <= 3 / 2 - low / 2.
Proof.
  intros [below above] Ht near error signs. unfold nearest in near. apply Rabs_le_inv in near.
  apply IZR_le in below. apply IZR_lt in above. in_reals below. in_reals above.
  set (s := IZR t * unit) in *. replace (IZR t) with (s * 18446744073709551616) in * by (unfold s; field).
  clearbody s. assert (IZR c - IZR q <= s * IZR h < IZR c - IZR q + 1) by lra.
  assert (low / 2 <= s * (IZR h - rest) <= high / 2) by nra. lra.
Qed.

Lemma alternating_error (t : Z) : (0 <= t < 2 ^ 63)%Z ->
  - 1.75 <= IZR (alternating t LN_COEFFICIENTS) - ln_series (IZR t * unit) * 18446744073709551616 <= 2.5.
Proof.
  intros Ht. destruct (alternating_is_rounded_as_stated t Ht) as [near _].
  destruct near as (h3 & h4 & h5 & h6 & h7 & step7 & step6 & step5 & step4 & step3 & step2).
  set (h2 := alternating t LN_COEFFICIENTS) in *. clearbody h2.
  assert (s_range : 0 <= IZR t * unit <= 1 / 2).
  { destruct Ht as [low high]. apply IZR_le in low. apply IZR_lt in high.
    change (IZR (2 ^ 63)) with 9223372036854775808 in high. lra. }
  pose proof ln_coefficients_are_nearest as near.
  assert (coefficient : forall n, (2 <= n <= 8)%Z ->
    nearest (nth (Z.to_nat n - 2) LN_COEFFICIENTS 0%Z) (ln_coefficient n * 18446744073709551616)).
  { intros n Hn. replace 18446744073709551616 with (2 ^ 64) by lra.
    replace (Z.to_nat n - 2)%nat with (Z.to_nat (n - 2)) by lia. apply near, Hn. }
  clear near. pose proof (coefficient 8%Z ltac:(lia)) as error8. unfold nearest in error8.
  apply Rabs_le_inv in error8.
  pose proof (step_down_error _ _ _ _ _ _ _ _ step7 s_range (coefficient 7%Z ltac:(lia)) error8
    ltac:(lra)) as error7.
  pose proof (step_down_error _ _ _ _ _ _ _ _ step6 s_range (coefficient 6%Z ltac:(lia)) error7
    ltac:(lra)) as error6.
  pose proof (step_down_error _ _ _ _ _ _ _ _ step5 s_range (coefficient 5%Z ltac:(lia)) error6
    ltac:(lra)) as error5.
  pose proof (step_down_error _ _ _ _ _ _ _ _ step4 s_range (coefficient 4%Z ltac:(lia)) error5
    ltac:(lra)) as error4.
  pose proof (step_down_error _ _ _ _ _ _ _ _ step3 s_range (coefficient 3%Z ltac:(lia)) error4
    ltac:(lra)) as error3.
  pose proof (step_down_error _ _ _ _ _ _ _ _ step2 s_range (coefficient 2%Z ltac:(lia)) error3
    ltac:(lra)) as error2.
  clear - error2. unfold ln_series.
  match type of error2 with _ <= _ - ?x <= _ => match goal with |- _ <= _ - ?y <= _ =>
    replace y with x by ring end end. lra.
Qed.

(** ** The logarithm of the rest, in units of [2^-71] *)

Definition rest_part (t : Z) : Z := word (t - multiply_high t (off_of t)).

Lemma rest_part_error (t : Z) : (0 <= t < 2 ^ 63)%Z ->
  - 0.69 <= IZR (rest_part t) - 128 * ln (1 + IZR t * unit / 128) * 18446744073709551616 <= 1.95 /\
  (0 <= rest_part t <= t)%Z.
Proof.
  intros Ht. pose proof (alternating_error t Ht) as error.
  destruct (alternating_is_rounded_as_stated t Ht) as [_ range]. unfold rest_part, off_of.
  set (h := alternating t LN_COEFFICIENTS) in *. clearbody h.
  assert (t_word : is_word t) by (unfold is_word; lia). assert (h_word : is_word h) by (unfold is_word; lia).
  destruct (multiply_high_bounds t h t_word h_word) as ([off_low off_high] & off_range & off_small).
  set (off := multiply_high t h) in *. clearbody off.
  assert (off_word : is_word off) by (unfold is_word in *; lia).
  destruct (multiply_high_bounds t off t_word off_word) as ([low high] & product_range & _).
  set (product := multiply_high t off) in *. clearbody product.
  rewrite word_small by (unfold is_word in *; lia). split; [|lia].
  assert (s_range : 0 <= IZR t * unit <= 1 / 2).
  { destruct Ht as [t_low t_high]. apply IZR_le in t_low. apply IZR_lt in t_high.
    change (IZR (2 ^ 63)) with 9223372036854775808 in t_high. lra. }
  pose proof (ln_series_is_near _ s_range) as method.
  apply IZR_le in off_low, low. apply IZR_lt in off_high, high.
  in_reals off_low. in_reals off_high. in_reals low. in_reals high. rewrite minus_IZR.
  clear - error off_low off_high low high s_range method.
  set (s := IZR t * unit) in *. replace (IZR t) with (s * 18446744073709551616) in * by (unfold s; field).
  set (logarithm := 128 * ln (1 + s / 128)) in *. set (A := ln_series s) in *. clearbody s logarithm A.
  generalize dependent (IZR h); intros h' error. generalize dependent (IZR off); intros o.
  generalize dependent (IZR product); intros p. intros.
  assert (p <= s * o < p + 1) by lra. assert (o <= s * h' < o + 1) by lra.
  assert (-0.875 <= s * (h' - A * 18446744073709551616) <= 1.25) by nra.
  assert (-1.875 <= o - s * A * 18446744073709551616 <= 1.25) by lra.
  assert (-0.9375 <= s * (o - s * A * 18446744073709551616) <= 0.625) by nra. lra.
Qed.

(** ** The sum with the table *)

(** `_shift_down` by any amount, also none: off by half a unit of the result. *)
Lemma shift_down_error (w by_ : Z) : is_word w -> (0 <= by_ <= 63)%Z ->
  - (1 / 2) <= IZR (shift_down w by_) - IZR w / IZR (2 ^ by_) <= 1 / 2 /\ is_word (shift_down w by_) /\
  (2 ^ by_ * shift_down w by_ <= w + 2 ^ by_ / 2)%Z.
Proof.
  intros Hw Hby. destruct (Z.eq_dec by_ 0) as [-> | Hnot].
  - rewrite shift_down_by_none by assumption. change (2 ^ 0)%Z with 1%Z.
    split; [lra|]. split; [assumption | change (1 / 2)%Z with 0%Z; lia].
  - destruct (shift_down_is_nearest w by_ Hw ltac:(lia)) as (_ & [low high] & made).
    assert (positive : (0 < 2 ^ by_)%Z) by (apply Z.pow_pos_nonneg; lia).
    split; [|split; [assumption|]].
    + apply IZR_lt in low. apply IZR_le in high. apply IZR_lt in positive.
      rewrite opp_IZR, mult_IZR, minus_IZR, mult_IZR in low.
      rewrite mult_IZR, minus_IZR, mult_IZR in high.
      set (p := IZR (2 ^ by_)) in *. clearbody p. set (d := IZR w / p).
      replace (IZR w) with (d * p) in * by (unfold d; field; lra). clearbody d. split; nra.
    + set (p := (2 ^ by_)%Z) in *. clearbody p. Z.div_mod_to_equations. lia.
Qed.

(** The scale is the unit of the table: half of one for its entry, half for the shift, and the rest. *)
Lemma ln_sum_error (i t : Z) : (0 <= i < TABLE_STEPS)%Z -> (0 <= t < 2 ^ 63)%Z ->
  let scale := IZR (2 ^ ln_shift i) in let made := ln_sum (ln_entry i) (ln_shift i) t in
  let exact := (- ln (IZR (reciprocal i) / 65536) + ln (1 + IZR t * unit / 128)) * 2361183241434822606848 in
  Rabs (IZR made * scale - exact) <= scale + 1.95 /\ (0 <= made < 2 ^ 64)%Z.
Proof.
  intros Hi Ht. cbv zeta. destruct (a_step_of_ln_fits i Hi) as (_ & _ & _ & shift_range & base_range & room).
  pose proof (ln_table_is_nearest i Hi) as near. destruct (rest_part_error t Ht) as [error part_range].
  unfold ln_sum. fold (rest_part t). set (part := rest_part t) in *. clearbody part.
  set (base := ln_entry i) in *. set (shift := ln_shift i) in *.
  set (table := ln (IZR (reciprocal i) / 65536)) in *.
  change (IZR (2 ^ 16)) with 65536 in near. fold table in near.
  clearbody base shift table. set (logarithm := ln (1 + IZR t * unit / 128)) in *. clearbody logarithm.
  destruct (shift_down_error part shift) as (rounding & down_word & down_small);
    [unfold is_word; lia | lia |].
  assert (powers : (2 ^ (63 - shift) * 2 ^ shift = 2 ^ 63)%Z)
    by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (units71 : (2 ^ (71 - shift) * 2 ^ shift = 2 ^ 71)%Z)
    by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  assert (positive : (1 <= 2 ^ shift <= 2 ^ 7)%Z).
  { split; [apply (Z.pow_le_mono_r 2 0) | apply Z.pow_le_mono_r]; lia. }
  set (down := shift_down part shift) in *. clearbody down.
  assert (down_range : (0 <= down <= 2 ^ (63 - shift))%Z).
  { unfold is_word in down_word. split; [lia|]. set (p := (2 ^ shift)%Z) in *.
    set (q := (2 ^ (63 - shift))%Z) in *. clearbody p q.
    assert (p / 2 < p)%Z by (Z.div_mod_to_equations; lia). nia. }
  rewrite word_small by (unfold is_word in *; lia). split; [|lia].
  rewrite plus_IZR. apply (f_equal IZR) in units71. rewrite mult_IZR in units71.
  change (IZR (2 ^ 71)) with 2361183241434822606848 in units71.
  destruct positive as [p_low _]. apply IZR_le in p_low.
  unfold nearest in near. apply Rabs_le_inv in near.
  set (p := IZR (2 ^ shift)) in *. set (q := IZR (2 ^ (71 - shift))) in *.
  set (d := IZR part / p) in *.
  assert (as_part : IZR part = d * p) by (unfold d; field; lra). rewrite as_part in error.
  clearbody p q d. clear - error near rounding units71 p_low.
  generalize dependent (IZR base); intros b near. generalize dependent (IZR down); intros n rounding.
  assert (- (1 / 2) * p <= (n - d) * p <= 1 / 2 * p) by nra.
  assert (- (1 / 2) * p <= (b - (- table * q)) * p <= 1 / 2 * p) by nra.
  assert (table * q * p = table * 2361183241434822606848) by (rewrite <- units71; ring).
  apply Rabs_le. split; nra.
Qed.

Lemma ln_grows (x y : R) : 0 < x -> x <= y -> ln x <= ln y.
Proof. intros Hx [less | ->]; [left; apply ln_increasing; assumption | right; reflexivity]. Qed.

(** ** The logarithm of a mantissa, in units of [2^-71] *)

Lemma ln_of_mantissa_error (high low : Z) : (2 ^ 63 <= high < 2 ^ 64)%Z -> (0 <= low < 2 ^ 32)%Z ->
  let '(made, shift, _) := ln_of_mantissa high low in
  let exact := ln ((IZR high + IZR low / 4294967296) / 9223372036854775808) * 2361183241434822606848 in
  Rabs (IZR made * IZR (2 ^ shift) - exact) <= IZR (2 ^ shift) + 2.95 /\
  (0 <= made < 2 ^ 64)%Z /\ (0 <= shift <= 7)%Z.
Proof.
  intros Hhigh Hlow. unfold ln_of_mantissa. set (i := Z.land (Z.shiftr high 55) 255).
  assert (i_is : i = (high / 2 ^ 55 - 256)%Z).
  { unfold i. change 255%Z with (Z.ones 8). rewrite Z.land_ones, right_is_quotient by lia.
    clear i. Z.div_mod_to_equations. lia. }
  clearbody i. assert (Hi : (0 <= i < TABLE_STEPS)%Z) by (unfold TABLE_STEPS; Z.div_mod_to_equations; lia).
  destruct (rest_is_rounded_down i high low Hi) as [[below above] t_range];
    [Z.div_mod_to_equations; lia | lia |].
  destruct (a_step_of_ln_fits i Hi) as (_ & _ & [r_low _] & shift_range & _).
  set (t := rest_of (reciprocal i) high low) in *. clearbody t.
  destruct (ln_sum_error i t Hi t_range) as [error made_range]. split; [|split; assumption].
  set (made := ln_sum (ln_entry i) (ln_shift i) t) in *. clearbody made.
  set (p := IZR (2 ^ ln_shift i)) in *. clearbody p. set (r := reciprocal i) in *. clearbody r.
  destruct Hhigh as [h_low _], Hlow as [l_low _], t_range as [t_low t_high].
  apply IZR_le in below, h_low, l_low, t_low. apply IZR_lt in above, r_low, t_high.
  repeat (rewrite plus_IZR in below || rewrite mult_IZR in below || rewrite minus_IZR in below).
  repeat (rewrite plus_IZR in above || rewrite mult_IZR in above || rewrite minus_IZR in above).
  change (IZR (2 ^ 32)) with 4294967296 in *. change (IZR (2 ^ 40)) with 1099511627776 in *.
  change (IZR (2 ^ 111)) with 2596148429267413814265248164610048 in *.
  change (IZR (2 ^ 63)) with 9223372036854775808 in *. change (IZR (2 ^ 15)) with 32768 in *.
  set (z := (IZR high + IZR low / 4294967296) / 9223372036854775808).
  assert (z_large : 1 <= z) by (unfold z; lra).
  set (s := z * (IZR r / 65536) - 1).
  assert (s_near : IZR t * unit / 128 <= s < IZR t * unit / 128 + / 2361183241434822606848).
  { unfold s, z. clear - below above. split; lra. }
  assert (split_z : ln z = - ln (IZR r / 65536) + ln (1 + s)).
  { replace z with ((1 + s) / (IZR r / 65536)) at 1 by (unfold s; field; lra).
    unfold Rdiv at 1. rewrite ln_mult, ln_Rinv; [ring | lra | unfold s; nra | ].
    apply Rinv_0_lt_compat. lra. }
  assert (t_real : 0 <= IZR t * unit / 128) by lra.
  set (u := IZR t * unit / 128) in *. clearbody u s z.
  assert (grows : 0 <= ln (1 + s) - ln (1 + u) <= / 2361183241434822606848).
  { assert (ln (1 + s) = ln (1 + u) + ln (1 + (s - u) / (1 + u))) as ->.
    { rewrite <- ln_mult; [f_equal; field; lra | lra |].
      apply Rplus_lt_le_0_compat; [lra|]. apply Rmult_le_pos; [lra|]. left. apply Rinv_0_lt_compat. lra. }
    set (d := (s - u) / (1 + u)).
    assert (d_range : 0 <= d <= s - u).
    { assert (d * (1 + u) = s - u) by (unfold d; field; lra). clearbody d. split; nra. }
    assert (0 <= ln (1 + d)) by (rewrite <- ln_1; apply ln_grows; lra).
    assert (ln (1 + d) <= d).
    { rewrite <- (ln_exp d) at 2. apply ln_grows; [lra|]. apply exp_ineq1_le. }
    lra. }
  rewrite split_z. apply Rabs_le_inv in error. apply Rabs_le. clear - error grows.
  set (l := ln (1 + s)) in *. set (k := ln (1 + u)) in *. set (m := ln (IZR r / 65536)) in *.
  clearbody l k m. lra.
Qed.

(** ** The logarithm of the power of two *)

Lemma scale_error (n : Z) : (- 2 ^ RANGE_BITS < n < 2 ^ RANGE_BITS)%Z ->
  let made := times n LN2_DIGITS in
  Rabs (value made - IZR n * ln 2) <= 0.75 * unit /\ is_fixed made /\ (- 2 ^ 32 <= fst made <= 2 ^ 32)%Z.
Proof.
  unfold RANGE_BITS. intros Hn. cbv zeta. pose proof ln2_digits_are_nearest as digits.
  assert (rounded : is_fixed (times n LN2_DIGITS) /\
    (- 2 ^ 31 <= n * of_digits LN2_DIGITS - units (times n LN2_DIGITS) * 2 ^ 32 < 2 ^ 31)%Z /\
    (- 2 ^ 32 <= fst (times n LN2_DIGITS) <= 2 ^ 32)%Z).
  { unfold LN2_DIGITS, of_digits. cbn [fold_left]. rewrite Z.mul_0_l, Z.add_0_l.
    apply times_is_rounded_once; lia. }
  destruct rounded as (made_fixed & [below above] & range). split; [|split; assumption].
  set (digits_value := of_digits LN2_DIGITS) in *. clearbody digits_value.
  unfold value. set (made := units (times n LN2_DIGITS)) in *. clearbody made.
  destruct Hn as [n_low n_high]. apply IZR_lt in n_low, n_high. apply IZR_le in below. apply IZR_lt in above.
  rewrite minus_IZR, !mult_IZR in below, above.
  change (IZR (2 ^ 32)) with 4294967296 in *. change (IZR (2 ^ 31)) with 2147483648 in *.
  change (IZR (- 2 ^ 31)) with (-2147483648) in *. unfold nearest in digits. apply Rabs_le_inv in digits.
  replace (2 ^ 96) with (18446744073709551616 * 4294967296) in digits by lra.
  set (l := ln 2) in *. clearbody l. apply Rabs_le.
  assert (-1073741824 <= IZR n * (IZR digits_value - l * (18446744073709551616 * 4294967296)) <= 1073741824)
    by nra.
  lra.
Qed.

(** ** The theorem *)

Theorem ln_error_is_below_1_78_units (exponent mantissa : Z) :
  (- 2 ^ RANGE_BITS < exponent < 2 ^ RANGE_BITS)%Z -> (2 ^ 63 <= mantissa < 2 ^ 64)%Z ->
  Rabs (value (ln_word exponent mantissa) - ln (number (exponent, mantissa))) <= 1.78 * unit /\
  is_fixed (ln_word exponent mantissa).
Proof.
  intros He Hm. unfold ln_word.
  replace (clip_exponent exponent) with exponent by (unfold clip_exponent, RANGE_BITS in *; lia).
  pose proof (ln_of_mantissa_error mantissa 0 Hm ltac:(lia)) as near.
  destruct (ln_of_mantissa mantissa 0) as [[made shift] off]. cbv zeta in near.
  destruct near as (near & made_range & shift_range).
  destruct (shift_down_error made (7 - shift)) as (rounding & part_word & _); [exact made_range | lia |].
  destruct (scale_error exponent He) as (scaled & scale_fixed & scale_range).
  set (part := shift_down made (7 - shift)) in *. set (scale := times exponent LN2_DIGITS) in *.
  clearbody scale.
  assert (part_fixed : is_fixed (0, part)%Z) by (split; unfold is_signed; cbn; [lia | exact part_word]).
  destruct (add_is_exact scale (0, part)%Z scale_fixed part_fixed) as [sum sum_fixed].
  { destruct scale_fixed as [_ scale_word]. unfold units, is_word in *. cbn [fst snd] in *. lia. }
  split; [|exact sum_fixed]. unfold value in *. rewrite sum. clear sum sum_fixed.
  change (units (0, part)%Z) with part. rewrite plus_IZR. unfold number. cbn [fst snd].
  replace (IZR mantissa + 0 / 4294967296) with (IZR mantissa) in near by lra.
  assert (positive : 0 < IZR mantissa / 9223372036854775808).
  { destruct Hm as [low _]. apply IZR_le in low. change (IZR (2 ^ 63)) with 9223372036854775808 in low. lra. }
  rewrite ln_mult, ln_exp by (trivial; apply exp_pos).
  set (z := ln (IZR mantissa / 9223372036854775808)) in *. clearbody z.
  set (power := IZR exponent * ln 2) in *. clearbody power.
  assert (powers : (2 ^ (7 - shift) * 2 ^ shift = 2 ^ 7)%Z) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
  apply (f_equal IZR) in powers. rewrite mult_IZR in powers. change (IZR (2 ^ 7)) with 128 in powers.
  assert (halves : - (1 / 2) <= IZR part - IZR made * IZR (2 ^ shift) / 128 <= 1 / 2).
  { set (p := IZR (2 ^ (7 - shift))) in *. set (q := IZR (2 ^ shift)) in *. clearbody p q.
    replace (IZR made * q / 128) with (IZR made / p); [exact rounding|]. rewrite <- powers. field.
    split; intros zero; rewrite zero in powers; lra. }
  assert (cases : IZR part - IZR made * IZR (2 ^ shift) / 128 = 0 /\ IZR (2 ^ shift) = 128 \/
                  IZR (2 ^ shift) <= 64).
  { destruct (Z.eq_dec shift 7) as [-> | Hnot].
    - left. change (IZR (2 ^ 7)) with 128. subst part. change (7 - 7)%Z with 0%Z.
      rewrite shift_down_by_none by exact made_range. split; [field | reflexivity].
    - right. apply (IZR_le _ 64). apply (Z.pow_le_mono_r 2 shift 6); lia. }
  apply Rabs_le_inv in near. apply Rabs_le_inv in scaled. apply Rabs_le.
  clear - near scaled halves cases. set (q := IZR (2 ^ shift)) in *. clearbody q.
  set (m := IZR made * q) in *. clearbody m.
  destruct cases as [[exact ->] | small]; lra.
Qed.

(** `LN_ERROR` of exp_ln.py is [2^-63]. *)
Theorem ln_keeps_its_bound (exponent mantissa : Z) :
  (- 2 ^ RANGE_BITS < exponent < 2 ^ RANGE_BITS)%Z -> (2 ^ 63 <= mantissa < 2 ^ 64)%Z ->
  Rabs (value (ln_word exponent mantissa) - ln (number (exponent, mantissa))) < / 2 ^ 63.
Proof.
  intros He Hm. destruct (ln_error_is_below_1_78_units exponent mantissa He Hm) as [error _].
  eapply Rle_lt_trans; [exact error|]. lra.
Qed.
