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

(** ** The constants of the code are those of the formats *)

Definition FLOAT32_count_bits : Z := DIGIT_BITS * FLOAT32_digits - 1 - FLOAT32_term_bits.
Definition FLOAT64_count_bits : Z := DIGIT_BITS * FLOAT64_digits - 1 - FLOAT64_term_bits.

Theorem count_bits_are_as_documented : FLOAT32_count_bits = 74 /\ FLOAT64_count_bits = 109.
Proof. split; reflexivity. Qed.

(** ** The terms of the two formats *)

Definition is_float32 : Z -> Prop := pattern float32_bits float32_width.
Definition is_float64 : Z -> Prop := pattern float64_bits float64_width.
Definition is_finite32 : Z -> bool := is_finite_pattern float32_bits float32_width.
Definition is_finite64 : Z -> bool := is_finite_pattern float64_bits float64_width.

(** What IEEE 754 says that the bits stand for, as Flocq reads them. *)
Definition real32 (x : Z) : R := B2R 24 128 (b32_of_bits x).
Definition real64 (x : Z) : R := B2R 53 1024 (b64_of_bits x).

Definition integer32 (x : Z) : Z := integer_of (decode32 x).
Definition integer64 (x : Z) : Z := integer_of (decode64 x).

Lemma term_flags_of_finite : forall bits width x words, is_finite_pattern bits width x = true ->
  let t := term_of words (decode bits width x) in nan t = false /\ pos_inf t = false /\ neg_inf t = false.
Proof.
  intros bits width x words H. apply negb_true_iff, orb_false_iff in H as [H1 H2].
  unfold term_of. cbn [nan pos_inf neg_inf]. rewrite H1, H2. auto.
Qed.

Lemma float32_is_placed : forall x, is_float32 x ->
  lift_placed (Z.to_nat FLOAT32_digits) (placed (float32_term x))
    = digits (Z.to_nat FLOAT32_digits) (integer32 x).
Proof.
  intros x Hx. unfold integer32, integer_of, decode32.
  pose proof (mantissa_range float32_bits float32_width eq_refl eq_refl x Hx) as Hm.
  pose proof (position_range float32_bits float32_width eq_refl eq_refl eq_refl x Hx) as Hp.
  pose proof (sign_is_a_bit float32_bits float32_width eq_refl eq_refl x Hx) as Hs.
  unfold float32_term, term_of, decode32, words_of_float32. cbn [placed].
  rewrite lifts_hold_the_integer; [| assumption | apply Hp |].
  - cbn [value]. rewrite Z.mul_0_r, Z.add_0_r. reflexivity.
  - constructor; [|constructor]. split; [apply Hm|].
    eapply Z.lt_le_trans; [apply Hm | discriminate].
Qed.

Lemma float64_words : forall m, 0 <= m < 2 ^ 53 ->
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

Lemma float64_is_placed : forall x, is_float64 x ->
  lift_placed (Z.to_nat FLOAT64_digits) (placed (float64_term x))
    = digits (Z.to_nat FLOAT64_digits) (integer64 x).
Proof.
  intros x Hx. unfold integer64, integer_of, decode64.
  pose proof (mantissa_range float64_bits float64_width eq_refl eq_refl x Hx) as Hm.
  pose proof (position_range float64_bits float64_width eq_refl eq_refl eq_refl x Hx) as Hp.
  pose proof (sign_is_a_bit float64_bits float64_width eq_refl eq_refl x Hx) as Hs.
  unfold float64_term, term_of, decode64. cbn [placed].
  destruct (float64_words _ Hm) as [Hv Hd].
  rewrite lifts_hold_the_integer; [rewrite Hv; reflexivity | assumption | apply Hp | assumption].
Qed.

Lemma float32_is_bounded : forall x, is_float32 x -> Z.abs (integer32 x) < 2 ^ FLOAT32_term_bits.
Proof.
  replace FLOAT32_term_bits with (float32_bits + 1 + (2 ^ float32_width - 3)) by reflexivity.
  exact (integers_are_bounded float32_bits float32_width eq_refl eq_refl eq_refl).
Qed.

Lemma float64_is_bounded : forall x, is_float64 x -> Z.abs (integer64 x) < 2 ^ FLOAT64_term_bits.
Proof.
  replace FLOAT64_term_bits with (float64_bits + 1 + (2 ^ float64_width - 3)) by reflexivity.
  exact (integers_are_bounded float64_bits float64_width eq_refl eq_refl eq_refl).
Qed.

Lemma float32_is_exact : forall x, is_float32 x -> is_finite32 x = true ->
  real32 x = (IZR (integer32 x) * bpow radix2 FLOAT32_lsb)%R.
Proof. exact (floats_are_integers float32_bits float32_width eq_refl eq_refl eq_refl). Qed.

Lemma float64_is_exact : forall x, is_float64 x -> is_finite64 x = true ->
  real64 x = (IZR (integer64 x) * bpow radix2 FLOAT64_lsb)%R.
Proof. exact (floats_are_integers float64_bits float64_width eq_refl eq_refl eq_refl). Qed.

(** ** The answers in the two formats *)

Definition present32 (lsb : Z) : list Z * (Z * (Z * Z)) -> Z :=
  present float32_bits float32_width (fun l => round_digits float32_bits float32_width eq_refl eq_refl l lsb).
Definition present64 (lsb : Z) : list Z * (Z * (Z * Z)) -> Z :=
  present float64_bits float64_width (fun l => round_digits float64_bits float64_width eq_refl eq_refl l lsb).

Lemma infinity32_reads : forall s, b32_of_bits (infinity_bits float32_bits float32_width s)
  = B754_infinity 24 128 s.
Proof. intros s. apply B2FF_inj. destruct s; reflexivity. Qed.
Lemma infinity64_reads : forall s, b64_of_bits (infinity_bits float64_bits float64_width s)
  = B754_infinity 53 1024 s.
Proof. intros s. apply B2FF_inj. destruct s; reflexivity. Qed.
Lemma nan32_reads : is_nan 24 128 (b32_of_bits (nan_bits float32_bits float32_width)) = true.
Proof. reflexivity. Qed.
Lemma nan64_reads : is_nan 53 1024 (b64_of_bits (nan_bits float64_bits float64_width)) = true.
Proof. reflexivity. Qed.

(** ** The theorems *)

(** The state of a plan over float32 or float64 bits. *)
Definition float32_state : plan Z -> carrier (accumulator (Z.to_nat FLOAT32_digits)) :=
  state_of (Z.to_nat FLOAT32_digits) float32_term.
Definition float64_state : plan Z -> carrier (accumulator (Z.to_nat FLOAT64_digits)) :=
  state_of (Z.to_nat FLOAT64_digits) float64_term.

(** Wrapped around or not on the way: what is left is summed exactly and rounded once, removed observations
    that were never merged counting with the other sign. *)
Theorem float32_sums_are_correctly_rounded : forall p kept common owed,
  Forall is_float32 (merged p) -> Forall is_float32 (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  forallb is_finite32 kept = true -> forallb is_finite32 owed = true ->
  Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ FLOAT32_count_bits ->
  let exact := (real_sum real32 kept - real_sum real32 owed)%R in
  rounded_once 52 11 exact (b64_of_bits (present64 FLOAT32_lsb (float32_state p)))
  /\ rounded_once 23 8 exact (b32_of_bits (present32 FLOAT32_lsb (float32_state p))).
Proof.
  intros p kept common owed Vm Vr Hm Hr Fk Fo Hn exact.
  pose proof (net_sums_are_rounded_once is_float32 is_finite32 real32 integer32 float32_term
    (Z.to_nat FLOAT32_digits) FLOAT32_lsb FLOAT32_term_bits float32_is_placed float32_is_bounded
    float32_is_exact (fun x _ F => term_flags_of_finite _ _ x _ F) ltac:(discriminate) ltac:(discriminate))
      as H.
  split.
  - exact (H 52 11 eq_refl eq_refl eq_refl infinity64_reads nan64_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
  - exact (H 23 8 eq_refl eq_refl eq_refl infinity32_reads nan32_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
Qed.

Theorem float64_sums_are_correctly_rounded : forall p kept common owed,
  Forall is_float64 (merged p) -> Forall is_float64 (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  forallb is_finite64 kept = true -> forallb is_finite64 owed = true ->
  Z.of_nat (length kept) + Z.of_nat (length owed) < 2 ^ FLOAT64_count_bits ->
  let exact := (real_sum real64 kept - real_sum real64 owed)%R in
  rounded_once 52 11 exact (b64_of_bits (present64 FLOAT64_lsb (float64_state p)))
  /\ rounded_once 23 8 exact (b32_of_bits (present32 FLOAT64_lsb (float64_state p))).
Proof.
  intros p kept common owed Vm Vr Hm Hr Fk Fo Hn exact.
  pose proof (net_sums_are_rounded_once is_float64 is_finite64 real64 integer64 float64_term
    (Z.to_nat FLOAT64_digits) FLOAT64_lsb FLOAT64_term_bits float64_is_placed float64_is_bounded
    float64_is_exact (fun x _ F => term_flags_of_finite _ _ x _ F) ltac:(discriminate) ltac:(discriminate))
      as H.
  split.
  - exact (H 52 11 eq_refl eq_refl eq_refl infinity64_reads nan64_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
  - exact (H 23 8 eq_refl eq_refl eq_refl infinity32_reads nan32_reads p kept common owed Vm Vr Hm Hr Hn Fk
      Fo).
Qed.

(** The flags of a term are what IEEE 754 says. *)
Theorem float32_flags_are_those_of_ieee : forall x, is_float32 x ->
  nan (float32_term x) = is_nan 24 128 (b32_of_bits x)
  /\ (pos_inf (float32_term x) = true -> b32_of_bits x = B754_infinity 24 128 false)
  /\ (neg_inf (float32_term x) = true -> b32_of_bits x = B754_infinity 24 128 true).
Proof.
  intros x Hx. split; [exact (not_a_number_is_told 23 8 eq_refl eq_refl eq_refl x Hx)|].
  pose proof (infinity_is_told 23 8 eq_refl eq_refl eq_refl x Hx) as H.
  change (decode 23 8 x) with (decode32 x) in H.
  unfold float32_term, term_of. cbn [pos_inf neg_inf].
  split; intros E; apply andb_prop in E as [Ei Es]; specialize (H Ei).
  - apply negb_true_iff in Es. rewrite Es in H. exact H.
  - rewrite Es in H. exact H.
Qed.

Theorem float64_flags_are_those_of_ieee : forall x, is_float64 x ->
  nan (float64_term x) = is_nan 53 1024 (b64_of_bits x)
  /\ (pos_inf (float64_term x) = true -> b64_of_bits x = B754_infinity 53 1024 false)
  /\ (neg_inf (float64_term x) = true -> b64_of_bits x = B754_infinity 53 1024 true).
Proof.
  intros x Hx. split; [exact (not_a_number_is_told 52 11 eq_refl eq_refl eq_refl x Hx)|].
  pose proof (infinity_is_told 52 11 eq_refl eq_refl eq_refl x Hx) as H.
  change (decode 52 11 x) with (decode64 x) in H.
  unfold float64_term, term_of. cbn [pos_inf neg_inf].
  split; intros E; apply andb_prop in E as [Ei Es]; specialize (H Ei).
  - apply negb_true_iff in Es. rewrite Es in H. exact H.
  - rewrite Es in H. exact H.
Qed.

(** NaN and infinities that are left decide; those that were removed again leave no trace. *)
Theorem float32_non_finite_terms_decide : forall p kept common,
  Forall is_float32 (merged p) -> Forall is_float32 (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) common ->
  Z.of_nat (length kept) < 2 ^ 63 ->
  let some (flag : term -> bool) := existsb (fun x => flag (float32_term x)) kept in
  let answer := b64_of_bits (present64 FLOAT32_lsb (float32_state p)) in
  if some nan || (some pos_inf && some neg_inf) then is_nan 53 1024 answer = true
  else (some pos_inf = true -> answer = B754_infinity 53 1024 false)
    /\ (some neg_inf = true -> answer = B754_infinity 53 1024 true).
Proof.
  exact (non_finite_terms_decide is_float32 integer32 float32_term (Z.to_nat FLOAT32_digits) FLOAT32_lsb
    float32_is_placed 52 11 eq_refl eq_refl eq_refl infinity64_reads nan64_reads).
Qed.

Theorem float64_non_finite_terms_decide : forall p kept common,
  Forall is_float64 (merged p) -> Forall is_float64 (removed p) ->
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) common ->
  Z.of_nat (length kept) < 2 ^ 63 ->
  let some (flag : term -> bool) := existsb (fun x => flag (float64_term x)) kept in
  let answer := b64_of_bits (present64 FLOAT64_lsb (float64_state p)) in
  if some nan || (some pos_inf && some neg_inf) then is_nan 53 1024 answer = true
  else (some pos_inf = true -> answer = B754_infinity 53 1024 false)
    /\ (some neg_inf = true -> answer = B754_infinity 53 1024 true).
Proof.
  exact (non_finite_terms_decide is_float64 integer64 float64_term (Z.to_nat FLOAT64_digits) FLOAT64_lsb
    float64_is_placed 52 11 eq_refl eq_refl eq_refl infinity64_reads nan64_reads).
Qed.

(** Equal net observations, finite or not, have equal states and so equal answers. *)
Theorem float32_answers_do_not_depend_on_the_plan : forall p q,
  Permutation (merged p ++ removed q) (merged q ++ removed p) -> float32_state p = float32_state q.
Proof. exact (equal_net_observations_have_equal_states (Z.to_nat FLOAT32_digits) float32_term). Qed.

Theorem float64_answers_do_not_depend_on_the_plan : forall p q,
  Permutation (merged p ++ removed q) (merged q ++ removed p) -> float64_state p = float64_state q.
Proof. exact (equal_net_observations_have_equal_states (Z.to_nat FLOAT64_digits) float64_term). Qed.
