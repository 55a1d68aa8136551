(** Exact sums of float32 and float64, from the bits of the inputs to the bits of the answer.

    Models convergence_jax.exact.superaccumulator.Superaccumulator of FLOAT32 and FLOAT64: [lift], any plan of
    [merge] and [remove], [present] as float64 or float32.

    Proves: fewer than 2^74 (float32) or 2^109 (float64) terms that are left are summed exactly and rounded
    once, whatever came and went; NaN and infinities that are left decide; equal net terms give equal bits. *)
From Coq Require Import ZArith List Lia Reals Bool Permutation.
From Flocq Require Import Core IEEE754.BinarySingleNaN IEEE754.Binary IEEE754.Bits.
From Convergence Require Import Constants Residues Plans Floats Rounding Accumulator NetSums.
Import ListNotations.
Open Scope Z_scope.

(** ** The two formats *)

Inductive format := Float32 | Float64.

Definition fraction_bits (f : format) : Z :=
  match f with Float32 => float32_bits | Float64 => float64_bits end.
Definition exponent_bits (f : format) : Z :=
  match f with Float32 => float32_width | Float64 => float64_width end.
Definition lsb (f : format) : Z := match f with Float32 => FLOAT32_lsb | Float64 => FLOAT64_lsb end.
Definition length_in_digits (f : format) : nat :=
  Z.to_nat (match f with Float32 => FLOAT32_digits | Float64 => FLOAT64_digits end).
Definition term_bits (f : format) : Z :=
  match f with Float32 => FLOAT32_term_bits | Float64 => FLOAT64_term_bits end.
Definition count_bits (f : format) : Z := DIGIT_BITS * Z.of_nat (length_in_digits f) - 1 - term_bits f.

Theorem count_bits_are_as_documented : count_bits Float32 = 74 /\ count_bits Float64 = 109.
Proof. split; reflexivity. Qed.

Definition fraction_is_positive (f : format) : 0 < fraction_bits f :=
  match f with Float32 => eq_refl | Float64 => eq_refl end.
Definition exponent_is_positive (f : format) : 0 < exponent_bits f :=
  match f with Float32 => eq_refl | Float64 => eq_refl end.
Definition range_suffices (f : format) : fraction_bits f + 1 < 2 ^ (exponent_bits f - 1) :=
  match f with Float32 => eq_refl | Float64 => eq_refl end.

(** ** Their terms *)

Definition is_pattern (f : format) : Z -> Prop := pattern (fraction_bits f) (exponent_bits f).
Definition is_finite (f : format) : Z -> bool := is_finite_pattern (fraction_bits f) (exponent_bits f).

(** What IEEE 754 says that the bits stand for, as Flocq reads them. *)
Definition read (f : format) : Z -> binary_float (fraction_bits f + 1) (2 ^ (exponent_bits f - 1)) :=
  float_of_bits _ _ (fraction_is_positive f) (exponent_is_positive f) (range_suffices f).
Definition real (f : format) (x : Z) : R := B2R _ _ (read f x).

Definition decoded_of (f : format) : Z -> decoded := decode (fraction_bits f) (exponent_bits f).
Definition integer (f : format) (x : Z) : Z := integer_of (decoded_of f x).
Definition words (f : format) : Z -> list Z :=
  match f with Float32 => words_of_float32 | Float64 => words_of_float64 end.
Definition term_at (f : format) (x : Z) : term := let d := decoded_of f x in term_of (words f (mantissa d)) d.

Lemma words_of_float64_hold : forall m, 0 <= m < 2 ^ 53 ->
  value (words_of_float64 m) = m /\ Forall is_digit (words_of_float64 m).
Proof.
  intros m Hm. unfold words_of_float64. rewrite mask_is_mod, Z.shiftr_div_pow2 by discriminate.
  change (2 ^ DIGIT_BITS) with BASE. cbn [value].
  pose proof (Z.div_mod m BASE ltac:(discriminate)).
  pose proof (Z.mod_pos_bound m BASE eq_refl).
  assert (0 <= m / BASE < BASE).
  { split; [apply Z.div_pos; [lia | reflexivity]|].
    apply Z.div_lt_upper_bound; [reflexivity|]. eapply Z.lt_le_trans; [apply Hm | discriminate]. }
  split; [lia|]. repeat constructor; tauto.
Qed.

Lemma words_hold : forall f m, 0 <= m < 2 ^ (fraction_bits f + 1) ->
  value (words f m) = m /\ Forall is_digit (words f m).
Proof.
  intros [|] m Hm; [|exact (words_of_float64_hold m Hm)].
  cbn [words words_of_float32 value]. split; [ring|].
  constructor; [|constructor]. split; [apply Hm | eapply Z.lt_le_trans; [apply Hm | discriminate]].
Qed.

Lemma term_is_placed : forall f x, is_pattern f x ->
  lift_placed (length_in_digits f) (placed (term_at f x)) = digits (length_in_digits f) (integer f x).
Proof.
  intros f x Hx. unfold integer, integer_of, term_at, term_of. cbn [placed].
  pose proof (mantissa_range _ _ (fraction_is_positive f) (exponent_is_positive f) x Hx) as Hm.
  pose proof (position_range _ _ (fraction_is_positive f) (exponent_is_positive f) (range_suffices f) x Hx)
    as Hp.
  pose proof (sign_is_a_bit _ _ (fraction_is_positive f) (exponent_is_positive f) x Hx) as Hs.
  destruct (words_hold f _ Hm) as [Hv Hd]. unfold decoded_of.
  rewrite lifts_hold_the_integer; [rewrite Hv; reflexivity | assumption | apply Hp | assumption].
Qed.

Lemma term_is_bounded : forall f x, is_pattern f x -> Z.abs (integer f x) < 2 ^ term_bits f.
Proof.
  intros f x Hx. replace (term_bits f) with (fraction_bits f + 1 + (2 ^ exponent_bits f - 3))
    by (destruct f; reflexivity).
  exact (integers_are_bounded _ _ (fraction_is_positive f) (exponent_is_positive f) (range_suffices f) x Hx).
Qed.

Lemma term_is_exact : forall f x, is_pattern f x -> is_finite f x = true ->
  real f x = (IZR (integer f x) * bpow radix2 (lsb f))%R.
Proof.
  intros [|] x; exact (floats_are_integers _ _ (fraction_is_positive _) (exponent_is_positive _)
    (range_suffices _) x).
Qed.

Lemma flags_of_finite : forall f x, is_pattern f x -> is_finite f x = true ->
  nan (term_at f x) = false /\ pos_inf (term_at f x) = false /\ neg_inf (term_at f x) = false.
Proof.
  intros f x _ H. apply negb_true_iff, orb_false_iff in H as [H1 H2].
  unfold term_at, term_of. cbn [nan pos_inf neg_inf]. fold (decoded_of f x) in H1, H2.
  rewrite H1, H2. auto.
Qed.

(** The flags of a term are what IEEE 754 says. *)
Theorem flags_are_those_of_ieee : forall f x, is_pattern f x ->
  nan (term_at f x) = is_nan _ _ (read f x)
  /\ (pos_inf (term_at f x) = true -> read f x = B754_infinity _ _ false)
  /\ (neg_inf (term_at f x) = true -> read f x = B754_infinity _ _ true).
Proof.
  intros f x Hx.
  split; [exact (not_a_number_is_told _ _ _ (exponent_is_positive f) (range_suffices f) x Hx)|].
  pose proof (infinity_is_told _ _ (fraction_is_positive f) (exponent_is_positive f) (range_suffices f) x Hx)
    as H.
  fold (decoded_of f x) (read f) in H. unfold term_at, term_of. cbn [pos_inf neg_inf].
  split; intros E; apply andb_prop in E as [Ei Es]; specialize (H Ei).
  - apply negb_true_iff in Es. rewrite Es in H. exact H.
  - rewrite Es in H. exact H.
Qed.

(** ** The answers *)

(** The bits of the answer in a format, of a state whose unit is [2 ^ unit]. *)
Definition present_as (f : format) (unit : Z) : list Z * (Z * (Z * Z)) -> Z :=
  present (fraction_bits f) (exponent_bits f)
    (fun l => round_digits _ _ (fraction_is_positive f) (range_suffices f) l unit).

Lemma infinity_reads : forall f s,
  read f (infinity_bits (fraction_bits f) (exponent_bits f) s) = B754_infinity _ _ s.
Proof. intros f s. apply B2FF_inj. destruct f, s; reflexivity. Qed.

Lemma nan_reads : forall f, is_nan _ _ (read f (nan_bits (fraction_bits f) (exponent_bits f))) = true.
Proof. intros [|]; reflexivity. Qed.

(** The state of a plan over the bits of floats. *)
Definition state (f : format) : plan Z -> carrier (accumulator (length_in_digits f)) :=
  state_of (length_in_digits f) (term_at f).

(** Wrapped around or not on the way: what is left is summed exactly and rounded once, to either format,
    removed observations that were never merged counting with the other sign. *)
Theorem sums_are_correctly_rounded : forall f answer p kept common owed,
  Forall (is_pattern f) (merged p) -> Forall (is_pattern f) (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  forallb (is_finite f) kept = true -> forallb (is_finite f) owed = true ->
  Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ count_bits f ->
  rounded_once (fraction_bits answer) (exponent_bits answer)
    (real_sum (real f) kept - real_sum (real f) owed) (read answer (present_as answer (lsb f) (state f p))).
Proof.
  intros f answer p kept common owed Vm Vr Hm Hr Fk Fo Hn.
  assert (0 <= term_bits f /\ 0 <= count_bits f) as [Ht Hc] by (destruct f; split; discriminate).
  exact (net_sums_are_rounded_once (is_pattern f) (is_finite f) (real f) (integer f) (term_at f)
    (length_in_digits f) (lsb f) (term_bits f) (term_is_placed f) (term_is_bounded f) (term_is_exact f)
    (flags_of_finite f) Ht Hc _ _ (fraction_is_positive answer) (exponent_is_positive answer)
    (range_suffices answer) (infinity_reads answer) (nan_reads answer) p kept common owed Vm Vr Hm Hr Hn
    Fk Fo).
Qed.

(** NaN and infinities that are left decide; those that were removed again leave no trace. *)
Theorem nan_and_infinities_decide : forall f answer p kept common,
  Forall (is_pattern f) (merged p) -> Forall (is_pattern f) (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) common ->
  Z.of_nat (length kept) < 2 ^ 63 ->
  let some (flag : term -> bool) := existsb (fun x => flag (term_at f x)) kept in
  let found := read answer (present_as answer (lsb f) (state f p)) in
  if some nan || (some pos_inf && some neg_inf) then is_nan _ _ found = true
  else (some pos_inf = true -> found = B754_infinity _ _ false)
    /\ (some neg_inf = true -> found = B754_infinity _ _ true).
Proof.
  intros f answer.
  exact (non_finite_terms_decide (is_pattern f) (integer f) (term_at f) (length_in_digits f) (lsb f)
    (term_is_placed f) _ _ (fraction_is_positive answer) (exponent_is_positive answer) (range_suffices answer)
    (infinity_reads answer) (nan_reads answer)).
Qed.

(** Equal net observations, finite or not, have equal states and so equal answers. *)
Theorem states_do_not_depend_on_the_plan : forall f p q,
  Permutation (merged p ++ removed q) (merged q ++ removed p) -> state f p = state f q.
Proof. intros f. exact (equal_net_observations_have_equal_states (length_in_digits f) (term_at f)). Qed.
