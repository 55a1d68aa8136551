(** The rounding of the code, bit by bit, is the rounding of IEEE 754.

    Models convergence_jax.exact.rounding.round_digits to nearest, for results of [bits] bits of mantissa and
    [width] bits of exponent, in integer operations only.
    Magnitudes.v and RoundedHeads.v have its first parts.

    Proves: the bits that it assembles are those of the correctly rounded float, subnormal results, carries
    into the exponent, overflow to infinity and zero included;
      so [present] with them is that of ExactSums.v. *)
From Coq Require Import ZArith List Lia Reals Lra Bool.
From Flocq Require Import Core IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues Floats Rounding Magnitudes RoundedHeads Accumulator
  ExactSums.
Import ListNotations.
Open Scope Z_scope.

(** ** The model *)

(** The leading one of what is kept adds one to the exponent, and so does a carry out of the rounding. *)
Definition assembled (bits width biased kept : Z) : Z :=
  let largest := 2 ^ width - 1 in
  let field := Z.shiftl (clip biased 0 (largest - 2)) bits in
  if largest - 1 <=? biased then Z.shiftl largest bits else field + kept.

Definition rounded_bits (bits width : Z) (l : list Z) (exponent : Z) : Z :=
  let precision := bits + 1 in
  let least := 2 - 2 ^ (width - 1) in
  let m := magnitude l in
  let first := digit_below m 0 in
  let power := Z.of_nat (top_of m) * DIGIT_BITS + length_bits first - (1 - exponent) in
  let lost := clip (least - power) 0 64 in
  let kept := rounded_head precision (head_of m) (sticky_of m) lost in
  let found := if first =? 0 then 0 else assembled bits width (Z.max (power - least) 0) kept in
  Z.lor (Z.shiftl (bit (is_negative l)) (bits + width)) found.

(** ** The assembled bits *)

Section Format.
Variables bits width : Z.
Hypothesis bits_positive : 0 < bits.
Hypothesis width_positive : 0 < width.
Hypothesis range_suffices : bits + 1 < 2 ^ (width - 1).
Hypothesis bits_fit : bits <= 62.
Let read := float_of_bits bits width bits_positive width_positive range_suffices.
Let largest := 2 ^ (width - 1).
Let least := 2 - largest.
Let unit_exponent := SpecFloat.emin (bits + 1) largest.

Let width_doubles : 2 ^ width = 2 * largest.
Proof. unfold largest. rewrite <- Z.pow_succ_r by lia. f_equal. lia. Qed.
Let power_of_bits : 0 < 2 ^ bits.
Proof. apply Z.pow_pos_nonneg; lia. Qed.

Lemma fields_of_bits : forall (s : bool) e f, 0 <= f < 2 ^ bits -> 0 <= e < 2 ^ width ->
  let x := Z.lor (Z.shiftl (bit s) (bits + width)) (e * 2 ^ bits + f) in
  pattern bits width x /\ decode bits width x =
    let finite := negb (e =? 2 ^ width - 1) in
    Decoded (bit s)
      (if finite then if e =? 0 then f else f + 2 ^ bits else 0)
      (if finite then Z.max e 1 - 1 else 0)
      (negb finite && negb (f =? 0))
      (negb finite && (f =? 0)).
Proof using bits_positive width_positive.
  clear range_suffices bits_fit read largest least unit_exponent width_doubles.
  intros s e f Hf He x.
  assert (HW : 0 < 2 ^ width) by (apply Z.pow_pos_nonneg; lia).
  assert (Hlow : 0 <= e * 2 ^ bits + f < 2 ^ (bits + width)).
  { rewrite Z.pow_add_r by lia. assert (0 <= e * 2 ^ bits) by (apply Z.mul_nonneg_nonneg; lia).
    assert ((e + 1) * 2 ^ bits <= 2 ^ width * 2 ^ bits) by (apply Z.mul_le_mono_nonneg_r; lia). lia. }
  assert (Ex : x = (bit s * 2 ^ width + e) * 2 ^ bits + f).
  { unfold x. rewrite Z.shiftl_mul_pow2, lor_is_add by lia. rewrite Z.pow_add_r by lia. ring. }
  assert (Hx : pattern bits width x).
  { unfold pattern. rewrite Ex. rewrite Z.pow_add_r, Z.pow_1_r by lia. rewrite Z.pow_add_r in * by lia.
    destruct s; cbn [bit]; lia. }
  split; [exact Hx|]. rewrite decode_fields by assumption.
  assert (Ef : x mod 2 ^ bits = f) by (rewrite Ex, Z.add_comm, Z.mod_add by lia; apply Z.mod_small, Hf).
  assert (Eq : x / 2 ^ bits = bit s * 2 ^ width + e)
    by (rewrite Ex, Z.add_comm, Z.div_add, Z.div_small by lia; ring).
  assert (Ee : (x / 2 ^ bits) mod 2 ^ width = e)
    by (rewrite Eq, Z.add_comm, Z.mod_add by lia; apply Z.mod_small, He).
  assert (Es : (2 ^ bits * 2 ^ width <=? x) = s).
  { rewrite Z.pow_add_r in Hlow by lia. rewrite Ex.
    destruct s; cbn [bit]; [apply Z.leb_le | apply Z.leb_gt]; lia. }
  rewrite Ef, Ee, Es. reflexivity.
Qed.

Lemma assembled_infinity_reads : forall s,
  read (Z.lor (Z.shiftl (bit s) (bits + width)) ((2 ^ width - 1) * 2 ^ bits + 0)) = B754_infinity _ _ s.
Proof using Type.
  intros s. assert (HW : 1 < 2 ^ width) by (apply Z.pow_gt_1; lia).
  destruct (fields_of_bits s (2 ^ width - 1) 0) as [Hx Hd]; [lia..|].
  unfold read. rewrite infinity_is_told; [|exact Hx|].
  - rewrite Hd. destruct s; reflexivity.
  - rewrite Hd. cbn [is_infinite]. rewrite Z.eqb_refl. reflexivity.
Qed.

(** A rounded magnitude of [kept] units of [2^(unit_exponent + biased)]. *)
Lemma assembled_reads : forall (s : bool) biased kept, 0 <= biased -> 0 <= kept <= 2 ^ (bits + 1) ->
  (0 < biased -> 2 ^ bits <= kept) ->
  let x := Z.lor (Z.shiftl (bit s) (bits + width)) (assembled bits width biased kept) in
  pattern bits width x /\
  if kept * 2 ^ biased <? 2 ^ (2 ^ width + bits - 2)
  then is_finite_pattern bits width x = true /\ sign (decode bits width x) = bit s
       /\ integer_of (decode bits width x) = signed_by (bit s) (kept * 2 ^ biased)
  else read x = B754_infinity _ _ s.
Proof using Type.
  intros s biased kept Hb Hk Hnormal x. unfold x, assembled.
  assert (HW : 6 <= 2 ^ width) by lia.
  assert (E1 : 2 ^ (bits + 1) = 2 * 2 ^ bits) by (rewrite Z.pow_add_r by lia; ring).
  assert (HB : 0 < 2 ^ biased) by (apply Z.pow_pos_nonneg; lia).
  rewrite !Z.shiftl_mul_pow2 with (a := 2 ^ width - 1) by lia.
  destruct (Z.leb_spec (2 ^ width - 1 - 1) biased) as [I|I].
  - rewrite <- (Z.add_0_r ((2 ^ width - 1) * 2 ^ bits)).
    split; [apply fields_of_bits; lia|].
    destruct (Z.ltb_spec (kept * 2 ^ biased) (2 ^ (2 ^ width + bits - 2))) as [C|C].
    + exfalso. specialize (Hnormal ltac:(lia)).
      assert (2 ^ bits * 2 ^ (2 ^ width - 2) <= kept * 2 ^ biased).
      { apply Z.mul_le_mono_nonneg; [lia | exact Hnormal | apply Z.pow_nonneg; lia | apply Z.pow_le_mono_r;
          lia]. }
      rewrite <- Z.pow_add_r in H by lia.
      replace (bits + (2 ^ width - 2)) with (2 ^ width + bits - 2) in H by ring. lia.
    + apply assembled_infinity_reads.
  - replace (clip biased 0 (2 ^ width - 1 - 2)) with biased by (unfold clip; lia).
    rewrite (Z.shiftl_mul_pow2 biased) by lia.
    assert (Finite : forall e f, 0 <= f < 2 ^ bits -> 0 <= e < 2 ^ width - 1 ->
      biased * 2 ^ bits + kept = e * 2 ^ bits + f ->
      (if e =? 0 then f else f + 2 ^ bits) * 2 ^ (Z.max e 1 - 1) = kept * 2 ^ biased ->
      let x := Z.lor (Z.shiftl (bit s) (bits + width)) (biased * 2 ^ bits + kept) in
      pattern bits width x /\ is_finite_pattern bits width x = true /\ sign (decode bits width x) = bit s
      /\ integer_of (decode bits width x) = signed_by (bit s) (kept * 2 ^ biased)).
    { intros e f Hf He E V. cbv zeta. rewrite E.
      destruct (fields_of_bits s e f Hf ltac:(lia)) as [Hx Hd].
      unfold is_finite_pattern, integer_of. rewrite Hd.
      cbn [is_not_a_number is_infinite sign mantissa position].
      replace (e =? 2 ^ width - 1) with false by (symmetry; apply Z.eqb_neq; lia). cbn [negb andb orb].
      rewrite V. auto. }
    assert (Below : kept < 2 ^ (bits + 1) \/ biased < 2 ^ width - 3 ->
      kept * 2 ^ biased < 2 ^ (2 ^ width + bits - 2)).
    { intros C. apply Z.lt_le_trans with (2 ^ (bits + 1) * 2 ^ (2 ^ width - 3)).
      - destruct C as [C|C].
        + apply Z.lt_le_trans with (2 ^ (bits + 1) * 2 ^ biased); [apply Z.mul_lt_mono_pos_r; lia|].
          apply Z.mul_le_mono_nonneg_l; [lia | apply Z.pow_le_mono_r; lia].
        + apply Z.le_lt_trans with (2 ^ (bits + 1) * 2 ^ biased); [apply Z.mul_le_mono_nonneg_r; lia|].
          apply Z.mul_lt_mono_pos_l; [lia | apply Z.pow_lt_mono_r; lia].
      - rewrite <- Z.pow_add_r by lia. apply Z.eq_le_incl. f_equal. ring. }
    destruct (Z.lt_ge_cases kept (2 ^ bits)) as [K|K];
      [|destruct (Z.lt_ge_cases kept (2 ^ (bits + 1))) as [K2|K2]].
    + assert (biased = 0) as -> by (destruct (Z.eq_dec biased 0);
        [assumption | specialize (Hnormal ltac:(lia)); lia]).
      destruct (Finite 0 kept) as (Hx & G); [lia | lia | ring | reflexivity |].
      split; [exact Hx|]. rewrite (proj2 (Z.ltb_lt _ _)) by (apply Below; lia). exact G.
    + destruct (Finite (biased + 1) (kept - 2 ^ bits)) as (Hx & G); [lia | lia | ring | |].
      * replace (biased + 1 =? 0) with false by (symmetry; apply Z.eqb_neq; lia).
        replace (Z.max (biased + 1) 1 - 1) with biased by lia. ring.
      * split; [exact Hx|]. rewrite (proj2 (Z.ltb_lt _ _)) by (apply Below; lia). exact G.
    + assert (kept = 2 * 2 ^ bits) as Ek by lia.
      destruct (Z.eq_dec biased (2 ^ width - 3)) as [Et|Nt].
      * assert (Eb : biased * 2 ^ bits + kept = (2 ^ width - 1) * 2 ^ bits + 0) by (rewrite Et, Ek; ring).
        rewrite Eb. split; [apply fields_of_bits; lia|].
        rewrite (proj2 (Z.ltb_ge _ _)); [apply assembled_infinity_reads|].
        rewrite Ek, Et, <- E1, <- Z.pow_add_r by lia. apply Z.eq_le_incl. f_equal. ring.
      * destruct (Finite (biased + 2) 0) as (Hx & G); [lia | lia | rewrite Ek; ring | |].
        -- replace (biased + 2 =? 0) with false by (symmetry; apply Z.eqb_neq; lia).
           replace (Z.max (biased + 2) 1 - 1) with (Z.succ biased) by lia.
           rewrite Z.pow_succ_r, Ek by lia. ring.
        -- split; [exact Hx|]. rewrite (proj2 (Z.ltb_lt _ _)) by (apply Below; lia). exact G.
Qed.
Lemma sign_is_told : forall x, pattern bits width x -> is_finite_pattern bits width x = true ->
  Bsign _ _ (read x) = negb (sign (decode bits width x) =? 0).
Proof using Type.
  intros x Hx F. rewrite (finite_is_told bits width bits_positive width_positive range_suffices x Hx) in F.
  rewrite decode_fields by assumption. cbn [sign].
  unfold float_of_bits, binary_float_of_bits in F. rewrite is_finite_FF2B in F.
  unfold read, float_of_bits, binary_float_of_bits. rewrite Bsign_FF2B.
  unfold binary_float_of_bits_aux, split_bits in *.
  change (Zpower 2 bits) with (2 ^ bits) in *; change (Zpower 2 width) with (2 ^ width) in *.
  revert F. destruct (2 ^ bits * 2 ^ width <=? x); cbn [Z.eqb negb];
    (case (Zeq_bool _ 0); [destruct (x mod 2 ^ bits) | case (Zeq_bool _ _);
      [destruct (x mod 2 ^ bits) | destruct (x mod 2 ^ bits + 2 ^ bits)]]);
    reflexivity || discriminate.
Qed.

Lemma leading_digit_of_zero : forall l, Forall is_digit l -> value l = 0 -> digit_below l 0 = 0.
Proof using Type.
  clear. intros l H Hv. unfold digit_below. cbn [Nat.leb].
  destruct (nth_in_or_default (top_of l - 0) l 0) as [I|E]; [|exact E].
  pose proof (is_zero_spec l H) as Z0. rewrite Hv in Z0. unfold is_zero in Z0. rewrite forallb_forall in Z0.
  specialize (Z0 _ I). apply Z.eqb_eq in Z0. symmetry. exact Z0.
Qed.

Let format := SpecFloat.fexp (bits + 1) largest.

(** The magnitude, rounded. *)
Lemma magnitude_is_rounded : forall m exponent, Forall is_digit m -> 0 < value m ->
  let power := Z.of_nat (top_of m) * DIGIT_BITS + length_bits (digit_below m 0) - (1 - exponent) in
  let kept := rounded_head (bits + 1) (head_of m) (sticky_of m) (clip (least - power) 0 64) in
  let biased := Z.max (power - least) 0 in
  round radix2 format ZnearestE (F2R (Float radix2 (value m) exponent))
    = (IZR (kept * 2 ^ biased) * bpow radix2 unit_exponent)%R
  /\ 0 <= kept <= 2 ^ (bits + 1) /\ (0 < biased -> 2 ^ bits <= kept).
Proof using bits_positive width_positive bits_fit.
  intros m exponent H Hv power kept biased.
  destruct (value_by_head m exponent H Hv) as (f & Hf & Hsticky & HX). fold power in HX.
  destruct (head_holds_the_leading_bits m H Hv) as (Hh & _).
  set (X := F2R (Float radix2 (value m) exponent)) in *.
  assert (HhR : (bpow radix2 63 <= IZR (head_of m) /\ IZR (head_of m) + 1 <= bpow radix2 64)%R).
  { rewrite <- !IZR_Zpower, <- plus_IZR by lia. change (radix_val radix2) with 2. split; apply IZR_le; lia. }
  assert (HX2 : (bpow radix2 power <= X < bpow radix2 (power + 1))%R).
  { rewrite HX. replace power with (63 + (power - 63)) at 1 by ring.
    replace (power + 1) with (64 + (power - 63)) by ring. rewrite !bpow_plus.
    pose proof (bpow_gt_0 radix2 (power - 63)).
    split; [apply Rmult_le_compat_r | apply Rmult_lt_compat_r]; lra. }
  assert (Hmag : mag radix2 X = power + 1 :> Z).
  { apply mag_unique_pos. replace (power + 1 - 1) with power by ring. exact HX2. }
  assert (He : cexp radix2 format X = unit_exponent + biased).
  { unfold cexp. rewrite Hmag. unfold format, SpecFloat.fexp, unit_exponent, SpecFloat.emin, biased, least.
    lia. }
  set (x := scaled_mantissa radix2 format X).
  assert (Ex : (x = X * bpow radix2 (- (unit_exponent + biased)))%R) by (unfold x, scaled_mantissa;
    rewrite He; reflexivity).
  assert (Hkept : kept = ZnearestE x).
  { unfold kept. replace (clip (least - power) 0 64) with (clip (Z.max (least - power) 0) 0 64)
      by (unfold clip; lia).
    apply rounded_head_is_nearest_even with (f := f); try assumption; try lia.
    rewrite Ex, HX, !Rmult_assoc, <- !bpow_plus.
    replace (power - 63 + (- (unit_exponent + biased) + (Z.max (least - power) 0 + (64 - (bits + 1))))) with
      0.
    - change (bpow radix2 0) with 1%R. ring.
    - unfold unit_exponent, SpecFloat.emin, biased, least. lia. }
  assert (Hx : (bpow radix2 (power - (unit_exponent + biased)) <= x < bpow radix2 (power + 1 -
    (unit_exponent + biased)))%R).
  { assert (Scale : forall a b, bpow radix2 (a - b) = (bpow radix2 a * bpow radix2 (- b))%R)
      by (intros; apply bpow_plus).
    rewrite Ex, !Scale. pose proof (bpow_gt_0 radix2 (- (unit_exponent + biased))).
    split; [apply Rmult_le_compat_r | apply Rmult_lt_compat_r]; lra. }
  split; [|split; [split|]].
  - unfold round. fold x. rewrite He, <- Hkept. unfold F2R. cbn [Fnum Fexp].
    rewrite mult_IZR, (Z.add_comm unit_exponent), bpow_plus, <- Rmult_assoc. do 2 f_equal.
    rewrite <- IZR_Zpower by (unfold biased; lia). reflexivity.
  - rewrite Hkept, <- (Zrnd_IZR ZnearestE 0). apply Zrnd_le; [apply valid_rnd_N|].
    apply Rle_trans with (2 := proj1 Hx). apply bpow_ge_0.
  - rewrite Hkept, <- (Zrnd_IZR ZnearestE (2 ^ (bits + 1))). apply Zrnd_le; [apply valid_rnd_N|].
    change 2 with (radix_val radix2) at 1. rewrite IZR_Zpower by lia.
    apply Rle_trans with (1 := Rlt_le _ _ (proj2 Hx)). apply bpow_le.
    unfold unit_exponent, SpecFloat.emin, biased, least. lia.
  - intros Hb. rewrite Hkept, <- (Zrnd_IZR ZnearestE (2 ^ bits)). apply Zrnd_le; [apply valid_rnd_N|].
    change 2 with (radix_val radix2) at 1. rewrite IZR_Zpower by lia.
    apply Rle_trans with (2 := proj1 Hx). apply bpow_le.
    unfold unit_exponent, SpecFloat.emin, biased, least in *. lia.
Qed.

(** The bits that the code assembles are those of the correctly rounded value. *)
Theorem rounded_bits_are_correct : forall L l exponent, canonical L l -> l <> [] ->
  pattern bits width (rounded_bits bits width l exponent)
  /\ read (rounded_bits bits width l exponent)
     = correctly_rounded bits width bits_positive range_suffices (signed l) exponent.
Proof using All.
  intros L l exponent Hl Hn. destruct (magnitude_is_absolute_value L l Hl Hn) as [[_ Hm] Hvalue].
  pose proof (sign_of_signed l (proj2 Hl) Hn) as Hsign.
  pose proof (binary_normalize_correct _ _ (precision_positive bits bits_positive) range_suffices
    mode_NE (signed l) exponent false) as N.
  fold (correctly_rounded bits width bits_positive range_suffices (signed l) exponent) in N.
  change (SpecFloat.fexp (bits + 1) (2 ^ (width - 1))) with format in N.
  change (bpow radix2 (2 ^ (width - 1))) with (bpow radix2 largest) in N.
  change (round_mode mode_NE) with ZnearestE in N.
  assert (HU : bpow radix2 largest = (IZR (2 ^ (2 ^ width + bits - 2)) * bpow radix2 unit_exponent)%R).
  { change 2 with (radix_val radix2) at 1. rewrite IZR_Zpower, <- bpow_plus by lia. f_equal.
    unfold unit_exponent, SpecFloat.emin. lia. }
  unfold rounded_bits. set (m := magnitude l) in *.
  destruct (Z.eqb_spec (value m) 0) as [E0|E0].
  - rewrite leading_digit_of_zero by assumption. cbn [Z.eqb].
    assert (signed l = 0) as S0 by lia. rewrite S0 in *. rewrite Hsign. cbn [Z.ltb Z.compare].
    rewrite F2R_0, round_0, Rabs_R0 in N by apply valid_rnd_N.
    rewrite Rlt_bool_true, Rcompare_Eq in N by (apply bpow_gt_0 || reflexivity).
    destruct N as (N1 & N2 & N3).
    destruct (fields_of_bits false 0 0) as [Hx Hd]; [lia..|]. rewrite Z.mul_0_l, Z.add_0_l in Hx, Hd.
    assert (F : is_finite_pattern bits width (Z.lor (Z.shiftl (bit false) (bits + width)) 0) = true).
    { unfold is_finite_pattern. rewrite Hd. cbn [is_not_a_number is_infinite].
      replace (0 =? 2 ^ width - 1) with false by (symmetry; apply Z.eqb_neq; lia). reflexivity. }
    split; [exact Hx|]. apply B2R_Bsign_inj; [| exact N2 | |].
    + unfold read. rewrite <- finite_is_told; assumption.
    + rewrite N1. unfold read. rewrite floats_are_integers, Hd by assumption.
      unfold integer_of. cbn [sign mantissa position]. rewrite Z.eqb_refl.
      destruct (negb _); unfold signed_by; cbn [bit Z.eqb]; rewrite Z.mul_0_l; ring.
    + rewrite N3, sign_is_told, Hd by assumption. reflexivity.
  - assert (Hv : 0 < value m) by (pose proof (canonical_value_range (length m) m (conj eq_refl Hm)); lia).
    destruct (leading_digits m Hm Hv) as (_ & _ & _ & _ & Hfirst & _).
    replace (digit_below m 0 =? 0) with false by (symmetry; apply Z.eqb_neq; lia).
    destruct (magnitude_is_rounded m exponent Hm Hv) as (Hround & Hk & Hnormal).
    fold largest. fold least.
    set (power := Z.of_nat (top_of m) * DIGIT_BITS + length_bits (digit_below m 0) - (1 - exponent)) in *.
    set (kept := rounded_head (bits + 1) (head_of m) (sticky_of m) (clip (least - power) 0 64)) in *.
    set (biased := Z.max (power - least) 0) in *.
    destruct (assembled_reads (is_negative l) biased kept) as [Hx Hread]; [unfold biased;
      lia | assumption..|].
    set (x := Z.lor (Z.shiftl (bit (is_negative l)) (bits + width)) (assembled bits width biased kept)) in *.
    split; [exact Hx|].
    set (V := F2R (Float radix2 (signed l) exponent)) in *.
    assert (HV : round radix2 format ZnearestE V
                 = (IZR (signed_by (bit (is_negative l)) (kept * 2 ^ biased)) * bpow radix2 unit_exponent)%R
                 /\ Rlt_bool V 0 = is_negative l /\ Rcompare V 0 <> Eq).
    { rewrite Hsign. destruct (Z.ltb_spec (signed l) 0) as [Ls|Ls]; cbn [bit]; unfold signed_by; cbn [Z.eqb].
      - assert (EV : V = (- F2R (Float radix2 (value m) exponent))%R).
        { unfold V. rewrite <- F2R_Zopp. do 2 f_equal. lia. }
        rewrite EV, round_NE_opp, Hround, opp_IZR. split; [ring|].
        assert (0 < F2R (Float radix2 (value m) exponent))%R by (apply F2R_gt_0; exact Hv).
        rewrite Rlt_bool_true, Rcompare_Lt by lra. split; [reflexivity | discriminate].
      - assert (EV : V = F2R (Float radix2 (value m) exponent)).
        { unfold V. do 2 f_equal. lia. }
        rewrite EV, Hround. split; [reflexivity|].
        assert (0 < F2R (Float radix2 (value m) exponent))%R by (apply F2R_gt_0; exact Hv).
        rewrite Rlt_bool_false, Rcompare_Gt by lra. split; [reflexivity | discriminate]. }
    destruct HV as (HV & HVs & HVn).
    assert (Habs : Rabs (round radix2 format ZnearestE V)
      = (IZR (kept * 2 ^ biased) * bpow radix2 unit_exponent)%R).
    { rewrite HV, Rabs_mult, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0. f_equal. rewrite <- abs_IZR.
      f_equal.
      assert (0 <= kept * 2 ^ biased) by (apply Z.mul_nonneg_nonneg; [lia | apply Z.pow_nonneg; lia]).
      unfold signed_by. destruct (is_negative l); cbn [bit Z.eqb]; lia. }
    rewrite Habs, HU in N. pose proof (bpow_gt_0 radix2 unit_exponent) as HUp.
    destruct (Z.ltb_spec (kept * 2 ^ biased) (2 ^ (2 ^ width + bits - 2))) as [C|C].
    + rewrite Rlt_bool_true in N by (apply Rmult_lt_compat_r; [exact HUp | apply IZR_lt, C]).
      destruct N as (N1 & N2 & N3). destruct Hread as (F & Hs & Hi).
      apply B2R_Bsign_inj; [| exact N2 | |].
      * rewrite <- F. symmetry.
        exact (finite_is_told bits width bits_positive width_positive range_suffices x Hx).
      * etransitivity; [|symmetry; exact N1]. rewrite HV, <- Hi.
        exact (floats_are_integers bits width bits_positive width_positive range_suffices x Hx F).
      * etransitivity; [|symmetry; exact N3]. etransitivity; [exact (sign_is_told x Hx F)|]. rewrite Hs.
        transitivity (is_negative l); [destruct (is_negative l); reflexivity|]. rewrite <- HVs.
        unfold Rlt_bool.
        destruct (Rcompare V 0); [congruence | reflexivity..].
    + rewrite Rlt_bool_false in N by (apply Rmult_le_compat_r; [lra | apply IZR_le, C]).
      rewrite Hread, <- HVs. symmetry. apply B2FF_inj. exact N.
Qed.

(** So the code's own rounding and that of the theorems on sums are one function. *)
Corollary the_code_rounds_once : forall L l exponent, canonical L l -> l <> [] ->
  rounded_bits bits width l exponent = round_digits bits width bits_positive range_suffices l exponent.
Proof using All.
  intros L l exponent Hl Hn. destruct (rounded_bits_are_correct L l exponent Hl Hn) as [Hx Hread].
  unfold round_digits. rewrite <- Hread. symmetry. unfold read, float_of_bits.
  apply bits_of_binary_float_of_bits. exact Hx.
Qed.
End Format.

(** ** The two formats *)

(** [present] with the code's own rounding in place of the specification. *)
Definition present_by_the_code (f : format) (unit : Z) : list Z * (Z * (Z * Z)) -> Z :=
  present (fraction_bits f) (exponent_bits f)
    (fun l => rounded_bits (fraction_bits f) (exponent_bits f) l unit).

Theorem the_code_presents_as_specified : forall f L l counts unit, canonical L l -> l <> [] ->
  present_by_the_code f unit (l, counts) = present_as f unit (l, counts).
Proof.
  intros f L l [n [plus minus]] unit Hl Hn. unfold present_by_the_code, present_as, present.
  rewrite (the_code_rounds_once _ _ (fraction_is_positive f) (exponent_is_positive f) (range_suffices f))
    with (L := L) by (destruct f; discriminate || assumption).
  reflexivity.
Qed.
