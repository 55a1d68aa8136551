(** How a float32 becomes the float64 that is lifted.

    Models [widen] of convergence_jax/exact/fixed_point.py operation by operation: integers on the bits, one
    product of float64, and the backend's own conversion of float32, of which only normal values, infinities
    and NaN are relied on: XLA on a processor takes subnormals of float32 for zero.

    Proves that every finite float32 becomes the float64 of equal value, zeros with their sign, whatever the
    conversion makes of subnormals; that none becomes a subnormal float64, which could be flushed in turn; and
    so that the ticks of a float32 are the integer nearest to it, scaled. *)
From Coq Require Import ZArith Reals Lra Lia Bool.
From Flocq Require Import Core BinarySingleNaN.
From Flocq Require IEEE754.Binary.
From Convergence Require Import Constants Floats NearestInteger FixedPoint.
Open Scope Z_scope.
Set Default Proof Using "Type".

Definition is_float32 : Z -> Prop := pattern float32_bits float32_width.
Definition is_finite32 : Z -> bool := is_finite_pattern float32_bits float32_width.

(** What a pattern of float32 stands for. *)
Definition real_of_float32 (x : Z) : R :=
  Binary.B2R _ _ (float_of_bits float32_bits float32_width eq_refl eq_refl eq_refl x).

(** ** The code *)

(** [x.view(np.int32)] *)
Definition view_int32 (x : Z) : Z := if x <? 2 ^ 31 then x else x - 2 ^ 32.

(** [astype(xp.float64)] of an integer *)
Definition float64_of_integer (n : Z) : float64 := binary_normalize PRECISION OVERFLOW _ _ mode_NE n 0 false.

Definition has_no_exponent (x : Z) : bool := Z.land (view_int32 x) 0x7F800000 =? 0.

(** The branch of [widen] for zeros and subnormals. *)
Definition small (x : Z) : float64 :=
  let mantissa := Bmult mode_NE (float64_of_integer (Z.land (view_int32 x) 0x7FFFFF)) (power (-149)) in
  if view_int32 x <? 0 then Bopp mantissa else mantissa.

(** [widen], where [convert] is the backend's [astype(xp.float64)] of float32. *)
Definition widen (convert : Z -> float64) (x : Z) : float64 :=
  if has_no_exponent x then small x else convert x.

(** What is relied on: values with an exponent are kept. *)
Definition keeps_normal_values (convert : Z -> float64) : Prop := forall x, is_float32 x ->
  has_no_exponent x = false ->
  is_finite (convert x) = is_finite32 x /\ (is_finite32 x = true -> B2R (convert x) = real_of_float32 x).

(** ** The bits *)

Lemma view_keeps_low_bits : forall x n, 0 <= n <= 32 -> view_int32 x mod 2 ^ n = x mod 2 ^ n.
Proof.
  intros x n N. unfold view_int32. destruct (x <? 2 ^ 31); [reflexivity|].
  replace 32 with (32 - n + n) by ring. rewrite Z.pow_add_r by lia.
  rewrite <- (Z.mod_add (x - _) (2 ^ (32 - n))) by (apply Z.pow_nonzero; lia). f_equal. ring.
Qed.

Lemma mantissa_of_view : forall x, Z.land (view_int32 x) 0x7FFFFF = x mod 2 ^ 23.
Proof.
  intros x. change 0x7FFFFF with (Z.ones 23). rewrite Z.land_ones by lia. apply view_keeps_low_bits; lia.
Qed.

Lemma exponent_of_view : forall x, has_no_exponent x = ((x / 2 ^ 23) mod 2 ^ 8 =? 0).
Proof.
  intros x. unfold has_no_exponent.
  replace (Z.land (view_int32 x) 0x7F800000) with (Z.shiftl ((x / 2 ^ 23) mod 2 ^ 8) 23).
  { rewrite Z.shiftl_mul_pow2 by lia.
    destruct (Z.eqb_spec ((x / 2 ^ 23) mod 2 ^ 8) 0), (Z.eqb_spec ((x / 2 ^ 23) mod 2 ^ 8 * 2 ^ 23) 0); lia. }
  rewrite <- Z.land_ones, <- Z.shiftr_div_pow2 by lia.
  change 0x7F800000 with (Z.shiftl (Z.ones 8) 23).
  assert (E : Z.land x (Z.ones 32) = Z.land (view_int32 x) (Z.ones 32)).
  { rewrite !Z.land_ones by lia. symmetry. apply view_keeps_low_bits; lia. }
  apply Z.bits_inj'. intros n N. rewrite Z.land_spec, !Z.shiftl_spec, Z.land_spec by lia.
  destruct (Z.lt_ge_cases n 23) as [L|L].
  { rewrite !(Z.testbit_neg_r _ (n - 23)) by lia. rewrite !andb_false_r. reflexivity. }
  rewrite Z.shiftr_spec by lia. replace (n - 23 + 23) with n by ring.
  destruct (Z.lt_ge_cases n 31) as [H|H].
  2: { rewrite Z.ones_spec_high by lia. rewrite !andb_false_r. reflexivity. }
  f_equal. apply (f_equal (fun z => Z.testbit z n)) in E.
  rewrite !Z.land_spec, Z.ones_spec_low, !andb_true_r in E by lia. exact E.
Qed.

Lemma sign_of_view : forall x, is_float32 x -> (view_int32 x <? 0) = (2 ^ 31 <=? x).
Proof.
  intros x X. unfold view_int32, is_float32, pattern, float32_bits, float32_width in *.
  destruct (Z.ltb_spec x (2 ^ 31)), (Z.leb_spec (2 ^ 31) x); lia || (apply Z.ltb_ge || apply Z.ltb_lt); lia.
Qed.

(** ** Zeros and subnormals *)

Lemma small_integers_are_floats : forall n, 0 <= n < 2 ^ 23 ->
  B2R (float64_of_integer n) = IZR n /\ is_finite (float64_of_integer n) = true
  /\ Bsign (float64_of_integer n) = false.
Proof.
  intros n N. generalize (binary_normalize_correct PRECISION OVERFLOW _ _ mode_NE n 0 false). cbv zeta.
  assert (V : F2R (Float radix2 n 0) = IZR n) by (unfold F2R; simpl; ring).
  rewrite V, round_generic; [|apply valid_rnd_N|].
  2: { rewrite <- V. change (SpecFloat.fexp PRECISION OVERFLOW) with (FLT_exp LEAST PRECISION).
       apply generic_format_FLT. exists (Float radix2 n 0); [reflexivity| |discriminate].
       change (Z.abs n < 2 ^ 53). lia. }
  rewrite Rlt_bool_true; [intros (A & B & C); repeat split; try assumption|].
  { etransitivity; [exact C|].
    destruct (Rcompare_spec (IZR n) 0) as [L| |]; try reflexivity. apply lt_IZR in L; lia. }
  rewrite <- abs_IZR. apply Rlt_trans with (IZR (2 ^ 23)); [apply IZR_lt; lia|].
  change (2 ^ 23) with (radix2 ^ 23). rewrite IZR_Zpower by lia. apply bpow_lt. reflexivity.
Qed.

(** The product is exact: a zero, or a normal float64. *)
Lemma small_is_exact : forall x, is_float32 x ->
  is_finite (small x) = true /\ Bsign (small x) = (2 ^ 31 <=? x) /\
  B2R (small x) = (IZR (signed_by (if 2 ^ 31 <=? x then 1 else 0) (x mod 2 ^ 23)) * bpow radix2 (-149))%R.
Proof.
  intros x X. unfold small. rewrite mantissa_of_view, sign_of_view by assumption.
  pose proof (Z.mod_pos_bound x (2 ^ 23) eq_refl) as M. set (m := x mod 2 ^ 23) in *.
  destruct (small_integers_are_floats m M) as (Mv & Mf & Ms).
  destruct (power_is_exact (-149) ltac:(unfold SCALE_LIMIT; lia)) as (Pv & Pf & Ps).
  generalize (Bmult_correct PRECISION OVERFLOW _ _ mode_NE (float64_of_integer m) (power (-149))).
  cbv zeta. rewrite Mv, Pv, Mf, Pf, Ms, Ps, round_generic; [|apply valid_rnd_N|].
  2: { change (SpecFloat.fexp PRECISION OVERFLOW) with (FLT_exp LEAST PRECISION). apply generic_format_FLT.
       exists (Float radix2 m (-149)); [reflexivity| |discriminate]. change (Z.abs m < 2 ^ 53). lia. }
  rewrite Rlt_bool_true.
  2: { rewrite Rabs_mult, (Rabs_pos_eq (bpow _ _)), <- abs_IZR by apply bpow_ge_0.
       apply Rlt_le_trans with (bpow radix2 23 * bpow radix2 (-149))%R.
       - apply Rmult_lt_compat_r; [apply bpow_gt_0|]. rewrite <- (IZR_Zpower radix2) by lia. apply IZR_lt.
         change (radix2 ^ 23) with (2 ^ 23). lia.
       - rewrite <- bpow_plus. apply bpow_le. discriminate. }
  intros (V & F & S). change (true && true) with true in F.
  assert (N : is_nan (Bmult mode_NE (float64_of_integer m) (power (-149))) = false)
    by (destruct (Bmult _ _ _); easy).
  specialize (S N). unfold signed_by.
  destruct (2 ^ 31 <=? x); cbn [Z.eqb];
    [rewrite B2R_Bopp, is_finite_Bopp, Bsign_Bopp, S, opp_IZR by exact N|];
    (split; [exact F|split; [easy|]]); rewrite V; ring.
Qed.

Lemma without_an_exponent : forall x, is_float32 x -> has_no_exponent x = true -> is_finite32 x = true /\
  real_of_float32 x = (IZR (signed_by (if 2 ^ 31 <=? x then 1 else 0) (x mod 2 ^ 23)) * bpow radix2 (-149))%R.
Proof.
  intros x X E. rewrite exponent_of_view in E. apply Z.eqb_eq in E.
  assert (F : is_finite32 x = true).
  { unfold is_finite32, is_finite_pattern. rewrite decode_fields by (auto; reflexivity).
    unfold float32_bits, float32_width. cbn [is_not_a_number is_infinite]. rewrite E. reflexivity. }
  split; [exact F|]. unfold real_of_float32. rewrite floats_are_integers by assumption.
  change (SpecFloat.emin _ _) with (-149). f_equal. f_equal. unfold integer_of.
  rewrite decode_fields by (auto; reflexivity). unfold float32_bits, float32_width.
  cbn [sign mantissa position]. rewrite E. change (Zle_bool (2 ^ 23 * 2 ^ 8) x) with (2 ^ 31 <=? x).
  cbn [Z.eqb negb]. change (2 ^ (Z.max 0 1 - 1)) with 1. rewrite Z.mul_1_r. reflexivity.
Qed.

(** ** What [widen] gives *)

Theorem a_widened_float32_keeps_its_value : forall convert x, keeps_normal_values convert -> is_float32 x ->
  is_finite (widen convert x) = is_finite32 x
  /\ (is_finite32 x = true -> B2R (widen convert x) = real_of_float32 x).
Proof.
  intros convert x K X. unfold widen. destruct (has_no_exponent x) eqn:E; [|auto].
  destruct (without_an_exponent x X E) as (F & V). destruct (small_is_exact x X) as (F' & _ & V').
  rewrite F, F'. split; [reflexivity|]. intros _. rewrite V', V. reflexivity.
Qed.

(** Zeros have a sign, which order statistics look at. *)
Theorem a_widened_zero_keeps_its_sign : forall convert x, is_float32 x -> has_no_exponent x = true ->
  Bsign (widen convert x) = (2 ^ 31 <=? x).
Proof. intros convert x X E. unfold widen. rewrite E. apply small_is_exact; assumption. Qed.

(** Nothing that a backend could flush: what is not zero is a normal float64. *)
Theorem a_widened_float32_is_zero_or_normal : forall convert x, keeps_normal_values convert -> is_float32 x ->
  is_finite32 x = true ->
  B2R (widen convert x) = 0%R \/ (bpow radix2 (-1022) <= Rabs (B2R (widen convert x)))%R.
Proof.
  intros convert x K X F. destruct (a_widened_float32_keeps_its_value convert x K X) as (_ & V).
  rewrite (V F). unfold real_of_float32. rewrite floats_are_integers by assumption.
  change (SpecFloat.emin _ _) with (-149).
  set (n := integer_of _). destruct (Z.eq_dec n 0) as [->|N]; [left; ring|right].
  rewrite Rabs_mult, (Rabs_pos_eq (bpow _ _)), <- abs_IZR by apply bpow_ge_0.
  apply Rle_trans with (1 * bpow radix2 (-149))%R; [rewrite Rmult_1_l; apply bpow_le; discriminate|].
  apply Rmult_le_compat_r; [apply bpow_ge_0|]. apply IZR_le. lia.
Qed.

(** So the ticks of a float32 are the same on every backend: the integer nearest to it, scaled. *)
Corollary ticks_of_a_float32_are_the_nearest_integer : forall convert x scale_bits range_bits,
  keeps_normal_values convert -> is_float32 x -> declared scale_bits range_bits ->
  lift scale_bits range_bits (widen convert x) =
    let ticks := ZnearestE (real_of_float32 x * bpow radix2 scale_bits) in
    if is_finite32 x && (Z.abs ticks <? 2 ^ (scale_bits + range_bits)) then (ticks, true) else (0, false).
Proof.
  intros convert x scale_bits range_bits K X D.
  destruct (a_widened_float32_keeps_its_value convert x K X) as (F & V). destruct (is_finite32 x) eqn:I.
  - rewrite lift_is_the_nearest_integer, (V eq_refl) by assumption. reflexivity.
  - apply nan_and_infinities_are_not_held; assumption.
Qed.

(** Why [widen] is needed: the largest subnormal of float32 is one tick at [scale_bits = 126], not none. *)
Example a_subnormal_may_be_a_tick : lift 126 1 (small 0x7FFFFF) = (1, true).
Proof. vm_compute; reflexivity. Qed.

(** ** A conversion as IEEE 754 has it is one of those relied on *)

Definition converted (x : Z) : float64 :=
  if is_finite32 x
  then binary_normalize PRECISION OVERFLOW _ _ mode_NE (integer_of (decode32 x)) FLOAT32_lsb false
  else B754_nan.

Theorem a_conversion_to_the_nearest_keeps_normal_values : keeps_normal_values converted.
Proof.
  intros x X _. unfold converted. destruct (is_finite32 x) eqn:F; [|easy].
  assert (V : F2R (Float radix2 (integer_of (decode32 x)) FLOAT32_lsb) = real_of_float32 x).
  { unfold real_of_float32. rewrite floats_are_integers by assumption. reflexivity. }
  generalize (binary_normalize_correct PRECISION OVERFLOW _ _ mode_NE
    (integer_of (decode32 x)) FLOAT32_lsb false).
  cbv zeta. rewrite V. unfold real_of_float32 at 1 2 3 4 5.
  set (f := float_of_bits _ _ _ _ _ x).
  rewrite round_generic; [|apply valid_rnd_N|].
  2: { apply generic_inclusion_mag with (2 := Binary.generic_format_B2R _ _ f). intros _.
       unfold SpecFloat.fexp, SpecFloat.emin, PRECISION, OVERFLOW, float32_bits, float32_width. lia. }
  rewrite Rlt_bool_true; [intros (A & B & _); auto|].
  apply Rlt_trans with (1 := Binary.abs_B2R_lt_emax _ _ f). apply bpow_lt. reflexivity.
Qed.
