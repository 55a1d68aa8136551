(** A ratio of integers, times a power of two, as the nearest float64.

    States what [round_ratio] of convergence_jax/exact/rounding.py and [round_quotient] of exact/quotient.py
    promise, as one computation over the integers: the oracle of both. How the two get there (estimates in
    pairs of floats, a correction of a 62-bit quotient) is not modelled here. Proves that the computation is
    Flocq's rounding of the real ratio to nearest-even, subnormal results included. *)
From Coq Require Import ZArith Reals Lra Lia.
From Flocq Require Import Core.
From Convergence Require Import Constants NearestInteger FixedPoint.
Open Scope Z_scope.

(** [mag] of a positive ratio: the exponent of its leading bit, plus one. *)
Definition ratio_magnitude (num den : Z) : Z :=
  let guess := Z.log2 num - Z.log2 den in
  if den * 2 ^ Z.max 0 guess <=? num * 2 ^ Z.max 0 (- guess) then guess + 1 else guess.

(** Mantissa and exponent of [num / den * 2^exponent], rounded once; the exponent is not limited above. *)
Definition rounded_ratio (num den exponent : Z) : Z * Z :=
  let unit := if num =? 0 then LEAST
              else Z.max (ratio_magnitude (Z.abs num) den + exponent - PRECISION) LEAST in
  let shift := exponent - unit in
  (nearest_even (num * 2 ^ Z.max 0 shift) (den * 2 ^ Z.max 0 (- shift)), unit).

(** The float that the code gives: infinite where the mantissa does not fit below [2^1024]. *)
Definition is_beyond_float64 (rounded : Z * Z) : bool :=
  let (mantissa, exponent) := rounded in
  2 ^ (OVERFLOW + Z.max 0 (- exponent)) <=? Z.abs mantissa * 2 ^ Z.max 0 exponent.

Notation real := (fun rounded : Z * Z => F2R (Float radix2 (fst rounded) (snd rounded))).

Lemma power_of_two (e : Z) : 0 <= e -> IZR (2 ^ e) = bpow radix2 e.
Proof. exact (IZR_Zpower radix2 e). Qed.

Lemma scale_split (num den shift : Z) :
  0 < den ->
  (IZR num / IZR den * bpow radix2 shift
   = IZR (num * 2 ^ Z.max 0 shift) / IZR (den * 2 ^ Z.max 0 (- shift)))%R.
Proof.
  intros Hden. rewrite !mult_IZR, !power_of_two by lia.
  assert (IZR den <> 0)%R by (apply IZR_neq; lia).
  pose proof (bpow_gt_0 radix2 (Z.max 0 (- shift))).
  replace shift with (Z.max 0 shift + - Z.max 0 (- shift)) at 1 by lia.
  rewrite bpow_plus, bpow_opp. field. split; lra.
Qed.

Lemma log2_bounds (n : Z) : 0 < n -> (bpow radix2 (Z.log2 n) <= IZR n < bpow radix2 (Z.log2 n + 1))%R.
Proof.
  intros Hn. pose proof (Z.log2_nonneg n). rewrite <- !power_of_two by lia.
  destruct (Z.log2_spec n Hn) as [Hlow Hhigh]. rewrite <- Z.add_1_r in Hhigh.
  split; [now apply IZR_le|now apply IZR_lt].
Qed.

Theorem ratio_magnitude_is_mag (num den : Z) :
  0 < num -> 0 < den -> mag_val radix2 _ (mag radix2 (IZR num / IZR den)) = ratio_magnitude num den.
Proof.
  intros Hnum Hden. destruct (log2_bounds num Hnum) as [Hnl Hnh]. destruct (log2_bounds den Hden) as
    [Hdl Hdh].
  assert (0 < IZR num)%R as Hn by now apply IZR_lt. assert (0 < IZR den)%R as Hd by now apply IZR_lt.
  assert (0 < IZR num / IZR den)%R as Hratio by now apply Rdiv_lt_0_compat.
  unfold ratio_magnitude. set (guess := Z.log2 num - Z.log2 den).
  assert (forall e, (bpow radix2 e <= IZR num / IZR den <-> bpow radix2 e * IZR den <= IZR num)%R) as Hdivide.
  { intros e. split; intros H.
    - apply (Rmult_le_compat_r (IZR den)) in H; [|lra]. unfold Rdiv in H.
      rewrite Rmult_assoc, Rinv_l, Rmult_1_r in H by lra. assumption.
    - apply Rmult_le_reg_r with (IZR den); [assumption|]. unfold Rdiv.
      rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra. assumption. }
  assert (IZR (den * 2 ^ Z.max 0 guess) = bpow radix2 guess * IZR den * bpow radix2 (Z.max 0 (- guess)))%R
    as Hleft.
  { rewrite mult_IZR, power_of_two by lia.
    replace (Z.max 0 guess) with (guess + Z.max 0 (- guess)) by lia. rewrite bpow_plus. ring. }
  assert (IZR (num * 2 ^ Z.max 0 (- guess)) = IZR num * bpow radix2 (Z.max 0 (- guess)))%R as Hright.
  { rewrite mult_IZR, power_of_two by lia. reflexivity. }
  pose proof (bpow_gt_0 radix2 (Z.max 0 (- guess))) as Hscale.
  apply mag_unique_pos.
  destruct (Z.leb_spec (den * 2 ^ Z.max 0 guess) (num * 2 ^ Z.max 0 (- guess))) as [Htest | Htest].
  - apply IZR_le in Htest. rewrite Hleft, Hright in Htest. apply Rmult_le_reg_r in Htest; [|assumption].
    replace (guess + 1 - 1) with guess by ring. split; [now apply Hdivide|].
    apply Rnot_le_lt. intros H. apply Hdivide in H.
    apply (Rle_not_lt _ _ H). apply Rlt_le_trans with (1 := Hnh).
    apply Rle_trans with (bpow radix2 (guess + 1) * bpow radix2 (Z.log2 den))%R.
    + rewrite <- bpow_plus. apply bpow_le. unfold guess. lia.
    + apply Rmult_le_compat_l; [apply bpow_ge_0|assumption].
  - apply IZR_lt in Htest. rewrite Hleft, Hright in Htest. apply Rmult_lt_reg_r in Htest; [|assumption].
    split.
    + apply Hdivide. apply Rle_trans with (2 := Hnl).
      apply Rle_trans with (bpow radix2 (guess - 1) * bpow radix2 (Z.log2 den + 1))%R.
      * apply Rmult_le_compat_l; [apply bpow_ge_0|lra].
      * rewrite <- bpow_plus. apply bpow_le. unfold guess. lia.
    + apply Rnot_le_lt. intros H. apply Hdivide in H. lra.
Qed.

Theorem rounded_ratio_is_the_nearest_float (num den exponent : Z) :
  0 < den ->
  real (rounded_ratio num den exponent) = nearest_float64 (IZR num / IZR den * bpow radix2 exponent).
Proof.
  intros Hden. unfold rounded_ratio. set (unit := if num =? 0 then _ else _). cbn [fst snd].
  destruct (Z.eqb_spec num 0) as [Hzero | Hsome].
  - subst num. unfold Rdiv. rewrite !Rmult_0_l, round_0 by apply valid_rnd_N.
    replace (nearest_even _ _) with 0; [apply F2R_0|]. symmetry.
    unfold nearest_even. rewrite Z.mul_0_l.
    assert (0 < den * 2 ^ Z.max 0 (- (exponent - unit))) as Hpositive.
    { apply Z.mul_pos_pos; [assumption|]. apply Z.pow_pos_nonneg; lia. }
    rewrite Z.div_0_l, Z.mod_0_l by lia. rewrite Z.mul_0_r. destruct (Z.compare_spec 0
      (den * 2 ^ Z.max 0 (- (exponent - unit)))); (reflexivity || lia).
  - set (x := (IZR num / IZR den * bpow radix2 exponent)%R).
    assert (IZR den <> 0)%R as Hd by (apply IZR_neq; lia).
    assert (cexp radix2 (FLT_exp LEAST PRECISION) x = unit) as Hunit.
    { unfold cexp, FLT_exp, unit, x. rewrite mag_mult_bpow.
      - rewrite <- mag_abs. unfold Rdiv. rewrite Rabs_mult, Rabs_inv, <- !abs_IZR, (Z.abs_eq den) by lia.
        fold (IZR (Z.abs num) / IZR den)%R. rewrite ratio_magnitude_is_mag by lia. reflexivity.
      - unfold Rdiv. apply Rmult_integral_contrapositive_currified; [now apply IZR_neq|].
        now apply Rinv_neq_0_compat. }
    unfold round. rewrite Hunit. unfold scaled_mantissa. rewrite Hunit. unfold x.
    rewrite Rmult_assoc, <- bpow_plus. rewrite scale_split by assumption.
    rewrite nearest_even_is_round_to_nearest; [reflexivity|].
    apply Z.mul_pos_pos; [assumption|]. apply Z.pow_pos_nonneg; lia.
Qed.

(** It is off by at most half a unit in its last place. *)
Theorem rounded_ratio_error (num den exponent : Z) :
  0 < den ->
  let answer := real (rounded_ratio num den exponent) in
  (Rabs (answer - IZR num / IZR den * bpow radix2 exponent) <= / 2 * ulp radix2 (FLT_exp LEAST PRECISION)
    answer)%R.
Proof.
  intros Hden answer. unfold answer. rewrite rounded_ratio_is_the_nearest_float by assumption.
  apply error_le_half_ulp_round; exact _.
Qed.

Theorem beyond_float64_means_overflow (rounded : Z * Z) :
  is_beyond_float64 rounded = true <-> (bpow radix2 OVERFLOW <= Rabs (real rounded))%R.
Proof.
  destruct rounded as [mantissa exponent]. unfold is_beyond_float64. cbn [fst snd].
  rewrite <- F2R_Zabs. unfold F2R, Fnum, Fexp.
  pose proof (bpow_gt_0 radix2 (Z.max 0 (- exponent))) as Hscale.
  assert (IZR (2 ^ (OVERFLOW + Z.max 0 (- exponent))) = bpow radix2 OVERFLOW * bpow radix2
    (Z.max 0 (- exponent)))%R
    as Hleft by (rewrite power_of_two, bpow_plus by (unfold OVERFLOW; lia); reflexivity).
  assert (IZR (Z.abs mantissa * 2 ^ Z.max 0 exponent)
          = IZR (Z.abs mantissa) * bpow radix2 exponent * bpow radix2 (Z.max 0 (- exponent)))%R as Hright.
  { rewrite mult_IZR, power_of_two by lia. rewrite Rmult_assoc, <- bpow_plus. do 2 f_equal. lia. }
  rewrite Z.leb_le. split; intros H.
  - apply IZR_le in H. rewrite Hleft, Hright in H. now apply Rmult_le_reg_r in H.
  - apply le_IZR. rewrite Hleft, Hright. apply Rmult_le_compat_r; [lra|assumption].
Qed.
