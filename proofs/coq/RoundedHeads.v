(** The rounding of the leading bits, by what is dropped.

    Models the middle of convergence_jax.exact.rounding.round_digits to nearest: [lost], [drop], [shift],
    [kept], [remainder], [half], [up].

    Proves: what is kept, rounded, is the nearest integer, ties to even, of the scaled magnitude, also where
    all 64 leading bits are dropped; and the head and its tail are the magnitude, as a real number. *)
From Coq Require Import ZArith List Lia Reals Lra Bool.
From Flocq Require Import Core Calc.Bracket Calc.Round IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues Floats Rounding Magnitudes.
Import ListNotations.
Open Scope Z_scope.

Definition bit (b : bool) : Z := if b then 1 else 0.

(** From [head] and [sticky]: the leading bits that are kept, rounded to nearest-even. *)
Definition rounded_head (precision head : Z) (sticky : bool) (lost : Z) : Z :=
  let drop := clip (lost + (64 - precision)) 1 65 in
  let shift := Z.min drop 63 in
  let nothing := 64 <=? drop in
  let kept := if nothing then 0 else Z.shiftr head shift in
  let remainder := if nothing then head else Z.land head (Z.shiftl 1 shift - 1) in
  let half := Z.shiftl 1 (Z.min (drop - 1) 63) in
  let odd := negb (Z.land kept 1 =? 0) in
  let up := ((half <? remainder) || ((remainder =? half) && (sticky || odd))) && (drop <? 65) in
  kept + bit up.

(** ** Nearest-even by what is dropped *)

Lemma nearest_even_by_what_is_dropped : forall x d head f (sticky : bool), 1 <= d -> 0 <= head ->
  (0 <= f < 1)%R -> (sticky = true <-> f <> 0%R) -> (x * bpow radix2 d = IZR head + f)%R ->
  let kept := head / 2 ^ d in
  let remainder := head mod 2 ^ d in
  let half := 2 ^ (d - 1) in
  ZnearestE x = kept + bit ((half <? remainder) || ((remainder =? half) && (sticky || negb (Z.even kept)))).
Proof.
  intros x d head f sticky Hd Hh Hf Hsticky Hx kept remainder half.
  assert (Hhalf : 0 < half) by (apply Z.pow_pos_nonneg; lia).
  assert (Epow : 2 ^ d = 2 * half) by (unfold half; rewrite <- Z.pow_succ_r by lia; f_equal; lia).
  pose proof (Z.div_mod head (2 ^ d) ltac:(lia)) as Hdm.
  pose proof (Z.mod_pos_bound head (2 ^ d) ltac:(lia)) as Hr.
  fold kept remainder in Hdm, Hr.
  assert (Eb : bpow radix2 d = (2 * IZR half)%R).
  { rewrite <- IZR_Zpower by lia. change (radix_val radix2) with 2. rewrite Epow, mult_IZR. reflexivity. }
  assert (HhalfR : (0 < IZR half)%R) by (apply IZR_lt; lia).
  assert (Ex : (x = IZR kept + (IZR remainder + f) / (2 * IZR half))%R).
  { apply Rmult_eq_reg_r with (2 * IZR half)%R; [|lra].
    rewrite <- Eb at 1. rewrite Hx, Hdm, Epow, plus_IZR, !mult_IZR. field. lra. }
  assert (Hr0 : (0 <= IZR remainder)%R) by (apply IZR_le; lia).
  assert (Hr1 : (IZR remainder + 1 <= 2 * IZR half)%R) by (rewrite <- mult_IZR, <- plus_IZR; apply IZR_le;
    lia).
  set (g := ((IZR remainder + f) / (2 * IZR half))%R) in *.
  assert (Eg : (g * (2 * IZR half) = IZR remainder + f)%R) by (unfold g; field; lra).
  assert (Hg : (0 <= g < 1)%R) by (split; nra).
  assert (Low : forall l, inbetween (IZR kept) (IZR (kept + 1)) x l ->
    ZnearestE x = cond_incr (round_N (negb (Z.even kept)) l) kept) by (intros; apply inbetween_int_NE;
      assumption).
  assert (Inexact : forall c, (0 < g)%R -> Rcompare g (/ 2) = c ->
    inbetween (IZR kept) (IZR (kept + 1)) x (loc_Inexact c)).
  { intros c Hpos Hc. constructor; rewrite plus_IZR, Ex; [lra|].
    rewrite <- Hc. replace ((IZR kept + (IZR kept + 1)) / 2)%R with (IZR kept + / 2)%R by field.
    apply Rcompare_plus_l. }
  destruct (Z.ltb_spec half remainder) as [G|G]; cbn [orb bit].
  - assert (IZR half + 1 <= IZR remainder)%R by (rewrite <- plus_IZR; apply IZR_le; lia).
    rewrite (Low (loc_Inexact Gt)); [reflexivity|]. apply Inexact; [|apply Rcompare_Gt]; nra.
  - destruct (Z.eqb_spec remainder half) as [E|E]; cbn [andb].
    + rewrite E in Eg. destruct sticky; cbn [orb bit].
      * assert (f <> 0%R) by (apply Hsticky; reflexivity).
        rewrite (Low (loc_Inexact Gt)); [reflexivity|]. apply Inexact; [|apply Rcompare_Gt]; nra.
      * assert (f = 0%R) by (destruct (Req_dec f 0) as [|N]; [assumption | apply Hsticky in N; discriminate]).
        rewrite (Low (loc_Inexact Eq)); [cbn [round_N]; destruct (Z.even kept); cbn; lia|].
        apply Inexact; [|apply Rcompare_Eq]; nra.
    + assert (IZR remainder + 1 <= IZR half)%R by (rewrite <- plus_IZR; apply IZR_le; lia).
      cbn [bit]. rewrite Z.add_0_r.
      destruct (Req_dec g 0) as [Z0|NZ].
      * rewrite (Low loc_Exact); [reflexivity|]. constructor. rewrite Ex, Z0. ring.
      * rewrite (Low (loc_Inexact Lt)); [reflexivity|]. apply Inexact; [|apply Rcompare_Lt]; nra.
Qed.

Lemma rounded_head_is_nearest_even : forall x precision head f (sticky : bool) lost,
  1 <= precision <= 63 -> 2 ^ 63 <= head < 2 ^ 64 -> 0 <= lost ->
  (0 <= f < 1)%R -> (sticky = true <-> f <> 0%R) ->
  (x * bpow radix2 (lost + (64 - precision)) = IZR head + f)%R ->
  rounded_head precision head sticky (clip lost 0 64) = ZnearestE x.
Proof.
  intros x precision head f sticky lost Hp Hh Hlost Hf Hsticky Hx. unfold rounded_head.
  set (d := lost + (64 - precision)) in *.
  destruct (Z.le_gt_cases d 64) as [Hd|Hd].
  - replace (clip (clip lost 0 64 + (64 - precision)) 1 65) with d by (unfold clip, d in *; lia).
    replace (d <? 65) with true by (symmetry; apply Z.ltb_lt; lia). rewrite andb_true_r.
    rewrite (nearest_even_by_what_is_dropped x d head f sticky) by (assumption || unfold d in *; lia).
    cbv zeta. rewrite !Z.shiftl_1_l. replace (Z.min (d - 1) 63) with (d - 1) by lia.
    assert (Odd : forall k, negb (Z.land k 1 =? 0) = negb (Z.even k)).
    { intros k. change 1 with (Z.ones 1). rewrite Z.land_ones, Zmod_even by lia.
      destruct (Z.even k); reflexivity. }
    rewrite Odd. destruct (Z.leb_spec 64 d) as [E|E].
    + assert (d = 64) as -> by lia. rewrite Z.div_small, Z.mod_small by lia. reflexivity.
    + replace (Z.min d 63) with d by lia. rewrite Z.shiftr_div_pow2 by (unfold d in *; lia).
      replace (2 ^ d - 1) with (Z.ones d) by (rewrite Z.ones_equiv; lia).
      rewrite Z.land_ones by (unfold d in *; lia). reflexivity.
  - replace (clip (clip lost 0 64 + (64 - precision)) 1 65) with 65 by (unfold clip, d in *; lia).
    cbn [Z.ltb Z.leb Z.compare Pos.compare Pos.compare_cont]. rewrite andb_false_r. cbn [bit]. symmetry.
    apply Znearest_imp.
    assert (Hb : (2 * bpow radix2 64 <= bpow radix2 d)%R).
    { change 2%R with (bpow radix2 1). rewrite <- bpow_plus. apply bpow_le. lia. }
    assert (IZR head + 1 <= bpow radix2 64)%R
      by (rewrite <- IZR_Zpower, <- plus_IZR by lia; change (radix_val radix2) with 2; apply IZR_le; lia).
    assert (0 <= IZR head)%R by (apply IZR_le; lia).
    pose proof (bpow_gt_0 radix2 64). rewrite Rminus_0_r. apply Rabs_def1; nra.
Qed.

(** ** The head as a real number *)

Lemma value_by_head : forall l exponent, Forall is_digit l -> 0 < value l ->
  let power := Z.of_nat (top_of l) * DIGIT_BITS + length_bits (digit_below l 0) - (1 - exponent) in
  exists f, (0 <= f < 1)%R /\ (sticky_of l = true <-> f <> 0%R)
    /\ F2R (Float radix2 (value l) exponent) = ((IZR (head_of l) + f) * bpow radix2 (power - 63))%R.
Proof.
  intros l exponent H Hv power.
  destruct (head_holds_the_leading_bits l H Hv) as (Hh & Ha & tail & Hval & Htail & Hsticky).
  set (t := Z.of_nat (top_of l)) in *. set (amount := amount_of (digit_below l 0)) in *.
  assert (Ht : 0 <= t) by (unfold t; lia).
  assert (Ha0 : 0 <= amount) by (unfold amount, amount_of, clip, DIGIT_BITS; lia).
  assert (EP : BASE ^ (t + 1) = 2 ^ (DIGIT_BITS * (t + 1))).
  { unfold BASE. rewrite <- Z.pow_mul_r; [reflexivity | discriminate | lia]. }
  assert (HT : 0 < BASE ^ (t + 1)) by (apply Z.pow_pos_nonneg; [reflexivity | lia]).
  assert (RT : (0 < IZR (BASE ^ (t + 1)))%R) by (apply IZR_lt; exact HT).
  assert (BT : IZR (BASE ^ (t + 1)) = bpow radix2 (DIGIT_BITS * (t + 1))).
  { rewrite EP, <- IZR_Zpower by (unfold DIGIT_BITS; lia). reflexivity. }
  exists (IZR tail / IZR (BASE ^ (t + 1)))%R. split; [|split].
  - split.
    + apply Rmult_le_pos; [apply IZR_le; lia | apply Rlt_le, Rinv_0_lt_compat, RT].
    + apply Rmult_lt_reg_r with (IZR (BASE ^ (t + 1))); [exact RT|].
      unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r, Rmult_1_l by lra. apply IZR_lt. lia.
  - rewrite Hsticky. destruct (Z.eqb_spec tail 0) as [->|N]; cbn [negb].
    + split; [discriminate | intros E; exfalso; apply E; unfold Rdiv; ring].
    + split; [intros _ | reflexivity]. apply Rmult_integral_contrapositive_currified.
      * apply IZR_neq. exact N.
      * apply Rinv_neq_0_compat. lra.
  - unfold F2R. cbn [Fnum Fexp].
    assert (E : (IZR (value l) * bpow radix2 amount * bpow radix2 64
                 = IZR (head_of l) * IZR (BASE ^ (t + 1)) + IZR tail)%R).
    { rewrite <- mult_IZR, <- plus_IZR, <- Hval, !mult_IZR. rewrite <- IZR_Zpower by lia. reflexivity. }
    replace ((IZR (head_of l) + IZR tail / IZR (BASE ^ (t + 1))) * bpow radix2 (power - 63))%R
      with ((IZR (head_of l) * IZR (BASE ^ (t + 1)) + IZR tail) / IZR (BASE ^ (t + 1)) * bpow radix2 (power
        - 63))%R
      by (field; lra).
    rewrite <- E, BT. unfold Rdiv. rewrite <- bpow_opp, !Rmult_assoc, <- !bpow_plus. do 2 f_equal.
    unfold power. fold t. rewrite Ha in *. unfold DIGIT_BITS in *. lia.
Qed.
