(** The declared lift of a float64 to integer ticks.

    Models [FixedPoint.lift], [FixedPoint.covering] and the limits that [FixedPoint.__post_init__] checks, of
    convergence_jax/exact/fixed_point.py, operation by operation on IEEE 754 floats (Flocq): the product by a
    power of two, the rounding to an integer, the comparison with the range, the conversion.

    Proves that the ticks are the integer nearest to [x * 2^scale_bits]: scaling is exact where the product is
    a normal float64, and a subnormal one, rounded or flushed, is below half a tick either way. The error is
    at most half a tick, ticks are below [2^(scale_bits + range_bits)]; NaN, infinities and values out of
    range are not held. How a float32 becomes a float64 before is in Widening.v. *)
From Coq Require Import ZArith Reals Lra Lia Bool.
From Flocq Require Import Core BinarySingleNaN Mult_error.
From Convergence Require Import Constants NearestInteger.
Open Scope Z_scope.

Definition PRECISION : Z := 53.
Definition OVERFLOW : Z := 1024.
(** Exponent of the least subnormal, [-1074]. *)
Definition LEAST : Z := 3 - OVERFLOW - PRECISION.

#[global] Instance precision_is_positive : Prec_gt_0 PRECISION.
Proof. reflexivity. Qed.
#[global] Instance precision_is_below_overflow : Prec_lt_emax PRECISION OVERFLOW.
Proof. reflexivity. Qed.

Notation float64 := (binary_float PRECISION OVERFLOW).
Notation float64_format := (generic_format radix2 (FLT_exp LEAST PRECISION)).
Notation nearest_float64 := (round radix2 (FLT_exp LEAST PRECISION) ZnearestE).

(** ** The declaration *)

(** [FixedPoint.__post_init__]. *)
Definition declared (scale_bits range_bits : Z) : Prop :=
  1 <= scale_bits + range_bits <= WIDE_BITS /\ Z.abs scale_bits <= SCALE_LIMIT.

(** [FixedPoint.wide]. *)
Definition is_wide (scale_bits range_bits : Z) : bool := NARROW_BITS <? scale_bits + range_bits.

(** ** The lift *)

(** [2.0**exponent] *)
Definition power (exponent : Z) : float64 := Bldexp mode_NE Bone exponent.

(** [FixedPoint.lift]: ticks, and whether the value is held. *)
Definition lift (scale_bits range_bits : Z) (x : float64) : Z * bool :=
  let scaled := Bmult mode_NE x (power scale_bits) in
  let rounded := Bnearbyint mode_NE scaled in
  let held := Bltb (Babs rounded) (power (scale_bits + range_bits)) in
  (if held then Btrunc rounded else 0, held).

(** The same on mantissa and exponent, in integers: the oracle. *)
Definition lift_integers (scale_bits range_bits mantissa exponent : Z) : Z * bool :=
  let by_ := exponent + scale_bits in
  let rounded := if 0 <=? by_ then mantissa * 2 ^ by_ else nearest_even mantissa (2 ^ (- by_)) in
  let held := Z.abs rounded <? 2 ^ (scale_bits + range_bits) in
  (if held then rounded else 0, held).

(** ** Scaling *)

Lemma power_is_exact (exponent : Z) :
  Z.abs exponent <= SCALE_LIMIT ->
  B2R (power exponent) = bpow radix2 exponent /\ is_finite (power exponent) = true
  /\ Bsign (power exponent) = false.
Proof.
  intros Hlimit. unfold SCALE_LIMIT in Hlimit.
  generalize (Bldexp_correct PRECISION OVERFLOW _ _ mode_NE Bone exponent).
  rewrite Bone_correct, Rmult_1_l, round_generic; [|apply valid_rnd_N|].
  2: { apply generic_format_bpow. unfold SpecFloat.fexp, SpecFloat.emin, PRECISION, OVERFLOW. lia. }
  rewrite Rlt_bool_true.
  2: { rewrite Rabs_pos_eq by apply bpow_ge_0. apply bpow_lt. unfold OVERFLOW. lia. }
  rewrite is_finite_Bone, Bsign_Bone. easy.
Qed.

#[global] Instance float64_exponent_is_valid : Valid_exp (FLT_exp LEAST PRECISION).
Proof. apply FLT_exp_valid. reflexivity. Qed.

Lemma rounding_keeps_a_power (x : R) (exponent : Z) :
  LEAST <= exponent -> (Rabs x <= bpow radix2 exponent)%R ->
  (Rabs (nearest_float64 x) <= bpow radix2 exponent)%R.
Proof.
  intros Hexponent Hx. apply abs_round_le_generic; [exact _|apply valid_rnd_N| |assumption].
  apply generic_format_FLT_bpow; [reflexivity|assumption].
Qed.

Lemma scaling_is_exact_when_normal (x : R) (scale_bits : Z) :
  float64_format x -> (bpow radix2 (-1022) <= Rabs (x * bpow radix2 scale_bits))%R ->
  float64_format (x * bpow radix2 scale_bits).
Proof.
  intros Hx Hnormal. apply mult_bpow_exact_FLT; [assumption|].
  assert (x <> 0)%R as Hzero.
  { intros ->. rewrite Rmult_0_l, Rabs_R0 in Hnormal. pose proof (bpow_gt_0 radix2 (-1022)). lra. }
  assert (-1022 < mag radix2 (x * bpow radix2 scale_bits)) as Hmag.
  { apply mag_gt_bpow. assumption. }
  rewrite mag_mult_bpow in Hmag by assumption.
  unfold LEAST, PRECISION, OVERFLOW. lia.
Qed.

(** The product may round where it is subnormal; the ticks are zero either way. *)
Theorem scaling_leaves_no_trace (x : R) (scale_bits : Z) :
  float64_format x ->
  ZnearestE (nearest_float64 (x * bpow radix2 scale_bits)) = ZnearestE (x * bpow radix2 scale_bits).
Proof.
  intros Hx.
  destruct (Rle_or_lt (bpow radix2 (-1022)) (Rabs (x * bpow radix2 scale_bits))) as [Hnormal | Hsmall].
  - rewrite round_generic; [reflexivity|apply valid_rnd_N|].
    now apply scaling_is_exact_when_normal.
  - assert (bpow radix2 (-1022) < / 2)%R as Htiny.
    { change (/ 2)%R with (bpow radix2 (-1)). now apply bpow_lt. }
    rewrite !nearest_of_small; [reflexivity|lra|].
    apply Rle_lt_trans with (2 := Htiny).
    apply rounding_keeps_a_power; [discriminate|lra].
Qed.

(** A backend that takes float64 subnormals for zero, before or after the product, gives the same ticks. *)
Theorem flushing_leaves_no_trace (x : R) (scale_bits : Z) :
  Z.abs scale_bits <= SCALE_LIMIT ->
  (Rabs x < bpow radix2 (-1022) \/ Rabs (x * bpow radix2 scale_bits) < bpow radix2 (-1022))%R ->
  ZnearestE (x * bpow radix2 scale_bits) = 0.
Proof.
  intros Hlimit Hsmall. unfold SCALE_LIMIT in Hlimit. apply nearest_of_small.
  change (/ 2)%R with (bpow radix2 (-1)).
  destruct Hsmall as [Hinput | Hproduct].
  - rewrite Rabs_mult, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0.
    apply Rlt_le_trans with (bpow radix2 (-1022) * bpow radix2 scale_bits)%R.
    + apply Rmult_lt_compat_r; [apply bpow_gt_0|assumption].
    + rewrite <- bpow_plus. apply bpow_le. lia.
  - apply Rlt_trans with (1 := Hproduct). now apply bpow_lt.
Qed.

(** ** What the lift gives *)

Lemma range_test (rounded : float64) (bits n : Z) :
  1 <= bits <= WIDE_BITS -> is_finite rounded = true -> B2R rounded = IZR n ->
  Bltb (Babs rounded) (power bits) = (Z.abs n <? 2 ^ bits).
Proof.
  intros Hbits Hfinite Hvalue.
  destruct (power_is_exact bits) as (Hpower & Hpower_finite & _).
  { unfold WIDE_BITS, SCALE_LIMIT in *. lia. }
  rewrite Bltb_correct by (rewrite ?is_finite_Babs; assumption).
  rewrite B2R_Babs, Hvalue, Hpower, <- abs_IZR, <- (IZR_Zpower radix2) by lia.
  change (Zpower radix2 bits) with (2 ^ bits).
  case Rlt_bool_spec; intros H; [apply lt_IZR in H|apply le_IZR in H]; symmetry.
  - now apply Z.ltb_lt.
  - now apply Z.ltb_ge.
Qed.

Lemma infinity_is_out_of_range (sign : bool) (bits : Z) :
  1 <= bits <= WIDE_BITS -> Bltb (Babs (B754_infinity sign)) (power bits) = false.
Proof.
  intros Hbits. destruct (power_is_exact bits) as (_ & Hfinite & _).
  { unfold WIDE_BITS, SCALE_LIMIT in *. lia. }
  destruct (power bits) as [s | s | | s m e H]; try discriminate; reflexivity.
Qed.

Theorem lift_is_the_nearest_integer (scale_bits range_bits : Z) (x : float64) :
  declared scale_bits range_bits -> is_finite x = true ->
  let ticks := ZnearestE (B2R x * bpow radix2 scale_bits) in
  lift scale_bits range_bits x =
    if Z.abs ticks <? 2 ^ (scale_bits + range_bits) then (ticks, true) else (0, false).
Proof.
  intros [Hbits Hscale] Hfinite ticks.
  destruct (power_is_exact scale_bits Hscale) as (Hpower & Hpower_finite & Hpower_sign).
  generalize (Bmult_correct PRECISION OVERFLOW _ _ mode_NE x (power scale_bits)).
  rewrite Hpower. fold LEAST. change (round_mode mode_NE) with ZnearestE.
  change (SpecFloat.fexp PRECISION OVERFLOW) with (FLT_exp LEAST PRECISION).
  set (y := (B2R x * bpow radix2 scale_bits)%R) in *.
  set (scaled := Bmult mode_NE x (power scale_bits)).
  case Rlt_bool_spec; intros Hsize.
  - intros (Hvalue & Hscaled & _). rewrite Hfinite, Hpower_finite in Hscaled.
    destruct (Bnearbyint_correct PRECISION OVERFLOW _ mode_NE scaled) as (Hround & Hround_finite & _).
    rewrite Hvalue in Hround. rewrite Hscaled in Hround_finite.
    change (round_mode mode_NE) with ZnearestE in Hround.
    assert (B2R (Bnearbyint mode_NE scaled) = IZR ticks) as Hticks.
    { rewrite Hround. unfold round, F2R, scaled_mantissa, cexp, FIX_exp. simpl.
      rewrite !Rmult_1_r. f_equal. apply scaling_leaves_no_trace. apply generic_format_B2R. }
    unfold lift. fold scaled. rewrite (range_test _ _ ticks Hbits Hround_finite Hticks).
    destruct (Z.abs ticks <? _); [|reflexivity]. f_equal.
    apply eq_IZR. rewrite Btrunc_correct by reflexivity. rewrite Hticks.
    apply round_generic; [apply valid_rnd_ZR|]. apply generic_format_FIX.
    exists (Float radix2 ticks 0); [|reflexivity]. unfold F2R. simpl. ring.
  - intros Hoverflow.
    assert (scaled = B754_infinity (xorb (Bsign x) false)) as Hinfinite.
    { apply B2SF_inj. rewrite Hoverflow, Hpower_sign. reflexivity. }
    unfold lift. fold scaled. rewrite Hinfinite.
    cbn [Bnearbyint]. rewrite (infinity_is_out_of_range _ _ Hbits).
    replace (Z.abs ticks <? 2 ^ (scale_bits + range_bits)) with false; [reflexivity|].
    symmetry. apply Z.ltb_ge. apply Z.lt_le_incl, Z.nle_gt. intros Hticks.
    (* Ticks of at most 2^62 come from a product below 2^63, whose rounding is far from overflow. *)
    assert (Rabs y <= bpow radix2 63)%R as Hy.
    { pose proof (Znearest_half (fun t => negb (Z.even t)) y) as Hhalf. fold ticks in Hhalf.
      assert (Rabs (IZR ticks) <= bpow radix2 62)%R as Hbound.
      { rewrite <- abs_IZR, <- (IZR_Zpower radix2) by lia. apply IZR_le.
        apply Z.le_trans with (1 := Hticks). apply (Z.pow_le_mono_r 2); unfold WIDE_BITS in *; lia. }
      replace y with ((y - IZR ticks) + IZR ticks)%R by ring.
      eapply Rle_trans; [apply Rabs_triang|].
      assert (bpow radix2 62 + / 2 <= bpow radix2 63)%R by (simpl; lra). lra. }
    assert (Rabs (nearest_float64 y) <= bpow radix2 63)%R as Hround.
    { apply rounding_keeps_a_power; [discriminate|assumption]. }
    assert (bpow radix2 63 < bpow radix2 OVERFLOW)%R by (apply bpow_lt; reflexivity).
    lra.
Qed.

Theorem nan_and_infinities_are_not_held (scale_bits range_bits : Z) (x : float64) :
  declared scale_bits range_bits -> is_finite x = false -> lift scale_bits range_bits x = (0, false).
Proof.
  intros [Hbits Hscale] Hx. destruct (power_is_exact scale_bits Hscale) as (Hpower & Hfinite & _).
  assert (B2R (power scale_bits) <> 0)%R as Hzero by (rewrite Hpower; apply Rgt_not_eq, bpow_gt_0).
  unfold lift. destruct x as [s | s | | s m e H]; try discriminate.
  - destruct (power scale_bits) as [s' | s' | | s' m' e' H']; try discriminate.
    + now elim Hzero.
    + cbn [Bmult Bnearbyint]. now rewrite infinity_is_out_of_range.
  - destruct (power scale_bits); reflexivity.
Qed.

Theorem lift_is_its_oracle (scale_bits range_bits mantissa exponent : Z) (x : float64) :
  declared scale_bits range_bits -> is_finite x = true ->
  B2R x = F2R (Float radix2 mantissa exponent) ->
  lift scale_bits range_bits x = lift_integers scale_bits range_bits mantissa exponent.
Proof.
  intros Hdeclared Hfinite Hvalue. rewrite lift_is_the_nearest_integer by assumption.
  replace (ZnearestE (B2R x * bpow radix2 scale_bits))
    with (if 0 <=? exponent + scale_bits then mantissa * 2 ^ (exponent + scale_bits)
          else nearest_even mantissa (2 ^ (- (exponent + scale_bits)))).
  { unfold lift_integers. destruct (Z.abs _ <? _); reflexivity. }
  rewrite Hvalue. unfold F2R, Fnum, Fexp. rewrite Rmult_assoc, <- bpow_plus.
  destruct (Z.leb_spec 0 (exponent + scale_bits)) as [Hup | Hdown].
  - rewrite <- IZR_Zpower, <- mult_IZR by assumption. rewrite Zrnd_IZR by apply valid_rnd_N. reflexivity.
  - rewrite <- (nearest_even_is_round_to_nearest mantissa) by (apply Z.pow_pos_nonneg; lia). f_equal.
    change 2 with (radix_val radix2). rewrite IZR_Zpower by lia. rewrite bpow_opp.
    unfold Rdiv. now rewrite Rinv_inv.
Qed.

(** ** What is held *)

Section Held.
Set Default Proof Using "Type".
Variables scale_bits range_bits : Z.
Hypothesis Hdeclared : declared scale_bits range_bits.
Variable x : float64.
Variable ticks : Z.
Hypothesis Hheld : lift scale_bits range_bits x = (ticks, true).

Lemma held_is_finite : is_finite x = true.
Proof using Hdeclared Hheld.
  destruct (is_finite x) eqn:Hfinite; [reflexivity|].
  rewrite (nan_and_infinities_are_not_held _ _ _ Hdeclared Hfinite) in Hheld. discriminate.
Qed.

Lemma held_ticks :
  ticks = ZnearestE (B2R x * bpow radix2 scale_bits) /\ Z.abs ticks < 2 ^ (scale_bits + range_bits).
Proof using Hdeclared Hheld.
  rewrite (lift_is_the_nearest_integer _ _ _ Hdeclared held_is_finite) in Hheld.
  destruct (Z.ltb_spec (Z.abs (ZnearestE (B2R x * bpow radix2 scale_bits))) (2 ^ (scale_bits + range_bits)));
    [|discriminate]. injection Hheld as <-. now split.
Qed.

Theorem ticks_are_below_the_range : Z.abs ticks < 2 ^ (scale_bits + range_bits).
Proof using Hdeclared Hheld. apply held_ticks. Qed.

(** The error of a lift is at most half a tick. *)
Theorem lifting_error_is_half_a_tick :
  (Rabs (IZR ticks * bpow radix2 (- scale_bits) - B2R x) <= bpow radix2 (- (scale_bits + 1)))%R.
Proof using Hdeclared Hheld.
  destruct held_ticks as [-> _].
  pose proof (Znearest_half (fun t => negb (Z.even t)) (B2R x * bpow radix2 scale_bits)) as Hhalf.
  rewrite Rabs_minus_sym.
  replace (B2R x - IZR (ZnearestE (B2R x * bpow radix2 scale_bits)) * bpow radix2 (- scale_bits))%R
    with ((B2R x * bpow radix2 scale_bits - IZR (ZnearestE (B2R x * bpow radix2 scale_bits)))
          * bpow radix2 (- scale_bits))%R.
  2: { rewrite Rmult_minus_distr_r, Rmult_assoc, <- bpow_plus, Z.add_opp_diag_r. simpl. ring. }
  rewrite Rabs_mult, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0.
  replace (bpow radix2 (- (scale_bits + 1))) with (/ 2 * bpow radix2 (- scale_bits))%R.
  - apply Rmult_le_compat_r; [apply bpow_ge_0|assumption].
  - replace (- (scale_bits + 1)) with (-1 + - scale_bits) by ring. rewrite bpow_plus. reflexivity.
Qed.
End Held.

(** ** A lift that covers *)

(** [FixedPoint.covering]: scale and range of the lift for values below [2^exponent]. *)
Definition covering (exponent : Z) (wide : bool) : Z * Z :=
  let bits := if wide then WIDE_BITS else NARROW_BITS in
  let scale := Z.max (- SCALE_LIMIT) (Z.min SCALE_LIMIT (bits - 1 - exponent)) in
  (scale, bits - scale).

(** It is a legal declaration, and holds every float64 below [2^exponent] in magnitude. *)
Theorem covering_holds_every_value (exponent : Z) (wide : bool) (x : float64) :
  exponent <= OVERFLOW -> is_finite x = true -> (Rabs (B2R x) < bpow radix2 exponent)%R ->
  let (scale_bits, range_bits) := covering exponent wide in
  declared scale_bits range_bits /\
  lift scale_bits range_bits x = (ZnearestE (B2R x * bpow radix2 scale_bits), true).
Proof.
  intros Hexponent Hfinite Hx. unfold covering.
  set (bits := if wide then WIDE_BITS else NARROW_BITS).
  set (scale := Z.max _ _).
  assert (NARROW_BITS <= bits <= WIDE_BITS) as Hbits
    by (unfold bits, NARROW_BITS, WIDE_BITS; destruct wide; lia).
  assert (declared scale (bits - scale)) as Hdeclared.
  { unfold declared, scale, NARROW_BITS, SCALE_LIMIT, WIDE_BITS in *. lia. }
  split; [assumption|].
  rewrite lift_is_the_nearest_integer by assumption.
  replace (scale + (bits - scale)) with bits by ring.
  replace (_ <? _) with true; [reflexivity|]. symmetry. apply Z.ltb_lt.
  apply Z.le_lt_trans with (2 ^ (bits - 1)).
  2: { apply Z.pow_lt_mono_r; unfold NARROW_BITS in *; lia. }
  apply nearest_is_monotone_in_magnitude.
  change 2 with (radix_val radix2). rewrite IZR_Zpower by (unfold NARROW_BITS in *; lia).
  rewrite Rabs_mult, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0.
  apply Rle_trans with (bpow radix2 exponent * bpow radix2 scale)%R.
  - apply Rmult_le_compat_r; [apply bpow_ge_0|lra].
  - rewrite <- bpow_plus. apply bpow_le.
    unfold scale, SCALE_LIMIT, OVERFLOW, NARROW_BITS in *. lia.
Qed.
