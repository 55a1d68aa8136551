(** Exact sums of any terms: from what a plan merges and removes to the bits of the answer.

    Models convergence_jax.exact.superaccumulator.Superaccumulator, every verb of it composed: [lift],
      any plan
    of [merge] and [remove], [present]. ExactSums.v puts the formats of the code in.

    Proves: the answer is the exact real sum of what is merged net of what is removed, rounded once to
    nearest-even. What counts are the terms that are left: on the way any number may come and go, NaN and
    infinities too, and digits and counters may wrap around. *)
From Coq Require Import ZArith List Lia Reals Bool Permutation.
From Flocq Require Import Core IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues Plans Floats Rounding Accumulator.
Import ListNotations.
Open Scope Z_scope.

Definition real_sum {O} (f : O -> R) (xs : list O) : R := fold_right (fun x s => (f x + s)%R) 0%R xs.

(** ** The answer: one rounding, in a format of [bits] and [width] *)

Definition nearest_even (bits width : Z) (r : R) : R :=
  round radix2 (SpecFloat.fexp (bits + 1) (2 ^ (width - 1))) ZnearestE r.

(** IEEE 754 to the letter; the sum being exact, the sign is that of the sum, and zero is +0. *)
Definition rounded_once (bits width : Z) (exact : R) (answer : binary_float (bits + 1) (2 ^ (width - 1))) :
  Prop :=
  if Rlt_bool (Rabs (nearest_even bits width exact)) (bpow radix2 (2 ^ (width - 1)))
  then B2R _ _ answer = nearest_even bits width exact
       /\ is_finite _ _ answer = true
       /\ Bsign _ _ answer = Rlt_bool exact 0
  else answer = B754_infinity _ _ (Rlt_bool exact 0).

(** ** Any terms *)

Section Sums.
Context {O : Type}.
Variable valid : O -> Prop.
Variable finite : O -> bool.
Variable real : O -> R.
Variable integer : O -> Z.
Variable term_at : O -> term.
Variable L : nat.
Variables lsb term_bits : Z.
Hypothesis placed_holds_integer :
  forall x, valid x -> lift_placed L (placed (term_at x)) = digits L (integer x).
Hypothesis integer_is_bounded : forall x, valid x -> Z.abs (integer x) < 2 ^ term_bits.
Hypothesis integer_is_exact :
  forall x, valid x -> finite x = true -> real x = (IZR (integer x) * bpow radix2 lsb)%R.
Hypothesis flags_of_finite : forall x, valid x -> finite x = true ->
  nan (term_at x) = false /\ pos_inf (term_at x) = false /\ neg_inf (term_at x) = false.
Hypothesis term_bits_positive : 0 <= term_bits.

Let count_bits := DIGIT_BITS * Z.of_nat L - 1 - term_bits.
Hypothesis count_bits_positive : 0 <= count_bits.

Variables bits width : Z.
Hypothesis bits_positive : 0 < bits.
Hypothesis width_positive : 0 < width.
Hypothesis range_suffices : bits + 1 < 2 ^ (width - 1).
Let read := float_of_bits bits width bits_positive width_positive range_suffices.
Hypothesis infinity_reads : forall s, read (infinity_bits bits width s) = B754_infinity _ _ s.
Hypothesis nan_reads : is_nan _ _ (read (nan_bits bits width)) = true.

Definition answer_bits (p : plan O) : Z :=
  present bits width (fun l => round_digits bits width bits_positive range_suffices l lsb)
    (state_of L term_at p).
Let answer p := read (answer_bits p).

Lemma sum_of_integers : forall xs, Forall valid xs -> forallb finite xs = true ->
  real_sum real xs = (IZR (sum_of integer xs) * bpow radix2 lsb)%R.
Proof using integer_is_exact.
  induction 1 as [|x xs Hx H IH]; intros F; [cbn; ring|].
  cbn [forallb] in F. apply andb_prop in F as [Fx F].
  change (real_sum real (x :: xs)) with (real x + real_sum real xs)%R.
  rewrite sum_of_cons, plus_IZR, IH, integer_is_exact by assumption. ring.
Qed.

Lemma sum_of_bounded : forall xs, Forall valid xs ->
  Z.abs (sum_of integer xs) <= Z.of_nat (length xs) * 2 ^ term_bits.
Proof using integer_is_bounded.
  intros xs H. apply sum_of_bound. intros x Hx. rewrite Forall_forall in H.
  apply Z.lt_le_incl, integer_is_bounded, H, Hx.
Qed.

Lemma count_of_finite : forall (flag : term -> bool) xs,
  (forall x, In x xs -> flag (term_at x) = false) -> sum_of (fun x => count (flag (term_at x))) xs = 0.
Proof using Type.
  induction xs as [|x xs IH]; intros H; [reflexivity|].
  rewrite sum_of_cons, IH, (H x); [reflexivity | left; reflexivity | intros; apply H; right; assumption].
Qed.

Section Plan.
Variable p : plan O.
Variables kept common owed : list O.
Hypothesis merged_valid : Forall valid (merged p).
Hypothesis removed_valid : Forall valid (removed p).
Hypothesis merged_is : Permutation (merged p) (kept ++ common).
Hypothesis removed_is : Permutation (removed p) (owed ++ common).

Lemma kept_valid : Forall valid kept.
Proof using merged_valid merged_is.
  exact (proj1 (proj1 (Forall_app _ _ _) (Permutation_Forall merged_is merged_valid))).
Qed.

Lemma owed_valid : Forall valid owed.
Proof using removed_valid removed_is.
  exact (proj1 (proj1 (Forall_app _ _ _) (Permutation_Forall removed_is removed_valid))).
Qed.

(** The budget is a budget of what is left. *)
Hypothesis within_budget : Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ count_bits.

Lemma net_fits : Z.abs (net integer p) < 2 ^ (DIGIT_BITS * Z.of_nat L - 1).
Proof using All.
  rewrite (net_of_kept_and_owed _ _ p kept common owed) by assumption.
  pose proof (sum_of_bounded kept kept_valid). pose proof (sum_of_bounded owed owed_valid).
  replace (DIGIT_BITS * Z.of_nat L - 1) with (count_bits + term_bits) by (unfold count_bits; ring).
  rewrite Z.pow_add_r by assumption.
  assert (0 < 2 ^ term_bits) by (apply Z.pow_pos_nonneg; lia).
  nia.
Qed.

Lemma net_is_read : signed (digits L (net integer p)) = net integer p.
Proof using All.
  apply signed_reading_is_exact_in_bits; [|exact net_fits].
  unfold count_bits in count_bits_positive. unfold DIGIT_BITS in *. lia.
Qed.

Section Finite.
Hypothesis kept_finite : forallb finite kept = true.
Hypothesis owed_finite : forallb finite owed = true.
Let exact := (real_sum real kept - real_sum real owed)%R.

Lemma exact_is_net : exact = F2R (Float radix2 (net integer p) lsb).
Proof using All.
  unfold exact, F2R; cbn [Fnum Fexp].
  rewrite (net_of_kept_and_owed _ _ p kept common owed), minus_IZR by assumption.
  rewrite !sum_of_integers by (assumption || apply kept_valid || apply owed_valid). ring.
Qed.

Lemma answer_is_rounded_net : answer p =
  correctly_rounded bits width bits_positive range_suffices (net integer p) lsb.
Proof using All.
  unfold answer, answer_bits.
  rewrite (a_state_is_the_net_sum L valid term_at integer) by assumption. cbn [present].
  assert (Z0 : forall flag : term -> bool,
    (forall x, valid x -> finite x = true -> flag (term_at x) = false) ->
    net (fun x => count (flag (term_at x))) p = 0).
  { intros flag H. rewrite (net_of_kept_and_owed _ _ p kept common owed) by assumption.
    pose proof kept_valid as Vk. pose proof owed_valid as Vo.
    rewrite forallb_forall in kept_finite, owed_finite. rewrite Forall_forall in Vk, Vo.
    rewrite !count_of_finite; [reflexivity | intros; apply H; auto..]. }
  unfold nans, plus_infinities, minus_infinities.
  rewrite !Z0 by (intros x Vx Fx; destruct (flags_of_finite x Vx Fx) as (? & ? & ?); assumption).
  change (wrap64 0) with 0. cbn [negb orb andb Z.ltb Z.eqb Z.compare].
  unfold read. rewrite round_digits_is_correct, net_is_read. reflexivity.
Qed.

(** The answer is the exact sum of what is left, rounded once. *)
Theorem net_sums_are_rounded_once : rounded_once bits width exact (answer p).
Proof using All.
  rewrite answer_is_rounded_net. unfold correctly_rounded, rounded_once.
  pose proof (binary_normalize_correct _ _ (precision_positive bits bits_positive) range_suffices
    mode_NE (net integer p) lsb false) as H.
  rewrite <- exact_is_net in H. change (round_mode mode_NE) with ZnearestE in H.
  fold (nearest_even bits width exact) in H. destruct (Rlt_bool (Rabs _) _).
  - destruct H as (H1 & H2 & H3). repeat split; [exact H1 | exact H2 |].
    rewrite H3. unfold Rlt_bool. destruct (Rcompare exact 0); reflexivity.
  - apply B2FF_inj. exact H.
Qed.
End Finite.
End Plan.

(** ** What no integer holds *)

Lemma counts_are_read : forall (flag : O -> bool) p kept common,
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) common ->
  Z.of_nat (length kept) < 2 ^ 63 ->
  let n := wrap64 (net (fun x => count (flag x)) p) in
  (n <? 0) = false /\ (0 <? n) = existsb flag kept /\ negb (n =? 0) = existsb flag kept.
Proof using Type.
  clear. intros flag p kept common Hm Hr Hn n.
  assert (En : n = sum_of (fun x => count (flag x)) kept
               /\ 0 <= n /\ (0 <? n) = existsb flag kept).
  { unfold n. rewrite (net_of_kept_and_owed _ _ p kept common []) by assumption.
    assert (B : 0 <= sum_of (fun x => count (flag x)) kept <= Z.of_nat (length kept)
                /\ (0 <? sum_of (fun x => count (flag x)) kept) = existsb flag kept).
    { clear. induction kept as [|x xs IH]; [cbn; split; [lia | reflexivity]|].
      rewrite sum_of_cons. cbn [length existsb]. destruct IH as [IH E]. rewrite <- E.
      destruct (flag x); cbn [count orb]; split; lia. }
    rewrite Z.sub_0_r, wrap64_small by lia. intuition. }
  destruct En as (_ & H0 & <-). destruct (Z.ltb_spec 0 n), (Z.ltb_spec n 0), (Z.eqb_spec n 0); lia || auto.
Qed.

(** NaN and infinities that are left decide the answer; those that were removed again do not. *)
Theorem non_finite_terms_decide : forall p kept common,
  Forall valid (merged p) -> Forall valid (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) common ->
  Z.of_nat (length kept) < 2 ^ 63 ->
  let some (flag : term -> bool) := existsb (fun x => flag (term_at x)) kept in
  if some nan || (some pos_inf && some neg_inf) then is_nan _ _ (answer p) = true
  else (some pos_inf = true -> answer p = B754_infinity _ _ false)
    /\ (some neg_inf = true -> answer p = B754_infinity _ _ true).
Proof using placed_holds_integer infinity_reads nan_reads.
  intros p kept common Vm Vr Hm Hr Hn some. unfold answer, answer_bits.
  rewrite (a_state_is_the_net_sum L valid term_at integer) by assumption. cbn [present].
  destruct (counts_are_read (fun x => nan (term_at x)) p kept common Hm Hr Hn) as (_ & _ & E1).
  destruct (counts_are_read (fun x => pos_inf (term_at x)) p kept common Hm Hr Hn) as (E2 & E3 & _).
  destruct (counts_are_read (fun x => neg_inf (term_at x)) p kept common Hm Hr Hn) as (E4 & E5 & _).
  unfold nans, plus_infinities, minus_infinities. rewrite E1, E2, E3, E4, E5, !orb_false_r.
  fold (some nan) (some pos_inf) (some neg_inf).
  destruct (some nan), (some pos_inf), (some neg_inf); cbn [orb andb]; try exact nan_reads;
    split; intros; try discriminate; apply infinity_reads.
Qed.

(** Removing what was never merged is told, not rounded over. *)
Theorem negative_counts_are_told : forall p,
  Forall valid (merged p) -> Forall valid (removed p) ->
  - 2 ^ 63 <= nans term_at p < 2 ^ 63 -> - 2 ^ 63 <= plus_infinities term_at p < 2 ^ 63 ->
  - 2 ^ 63 <= minus_infinities term_at p < 2 ^ 63 ->
  nans term_at p <> 0 \/ plus_infinities term_at p < 0 \/ minus_infinities term_at p < 0 ->
  is_nan _ _ (answer p) = true.
Proof using placed_holds_integer nan_reads.
  clear count_bits_positive term_bits_positive integer_is_bounded count_bits.
  intros p Vm Vr B1 B2 B3 H. unfold answer, answer_bits.
  rewrite (a_state_is_the_net_sum L valid term_at integer) by assumption. cbn [present].
  rewrite !wrap64_small by assumption.
  replace (negb (nans term_at p =? 0) || (plus_infinities term_at p <? 0) || (minus_infinities term_at p <?
    0))
    with true; [exact nan_reads|].
  destruct (Z.eqb_spec (nans term_at p) 0), (Z.ltb_spec (plus_infinities term_at p) 0),
    (Z.ltb_spec (minus_infinities term_at p) 0); cbn; lia || reflexivity.
Qed.

(** The same bits for every plan, whatever the terms. *)
Theorem answers_do_not_depend_on_the_plan : forall p q,
  Permutation (merged p ++ removed q) (merged q ++ removed p) -> answer_bits p = answer_bits q.
Proof using Type.
  intros p q H. unfold answer_bits. rewrite (equal_net_observations_have_equal_states L term_at p q H).
  reflexivity.
Qed.
End Sums.
