(** `ln` of convergence_jax/exact/exp_ln.py on words of 64 bits, with the tables of the code.

    Proved here, over the integers: the mantissa, brought near one by its table, loses only the bits below
    [2^-71] and wraps around nowhere; every step of the polynomial is rounded down, within a word; the
    logarithm of one is exactly zero. Not proved yet: the final sum with the table, and the absolute error. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants FixedReals Tables Exp.
Import ListNotations.
Open Scope Z_scope.

(** `_polynomial` with the sign minus. *)
Definition alternating (t : Z) (coefficients : list Z) : Z :=
  match rev coefficients with
  | [] => 0
  | last :: others => fold_left (fun total c => word (c - multiply_high t total)) others last
  end.

(** `_ln_of_mantissa`: what is left beside the table, [off], and the sum. *)
Definition rest_of (factor high low : Z) : Z :=
  let upper := word (word (Z.shiftr high DIGIT_BITS * factor) - 2 ^ 47) in
  let lower := word (word (Z.land high DIGIT_MASK * factor) + Z.shiftr (word (low * factor)) DIGIT_BITS) in
  word (word (Z.shiftl upper 24) + Z.shiftr lower 8).
Definition off_of (t : Z) : Z := multiply_high t (alternating t LN_COEFFICIENTS).
Definition ln_sum (base shift t : Z) : Z :=
  word (base + shift_down (word (t - multiply_high t (off_of t))) shift).
Definition ln_of_mantissa (high low : Z) : Z * Z * Z :=
  let i := Z.land (Z.shiftr high 55) 255 in
  let t := rest_of (reciprocal i) high low in
  (ln_sum (ln_entry i) (ln_shift i) t, ln_shift i, off_of t).

(** `ln`. *)
Definition clip_exponent (e : Z) : Z := Z.max (1 - 2 ^ RANGE_BITS) (Z.min e (2 ^ RANGE_BITS - 1)).
Definition ln_word (exponent mantissa : Z) : fixed :=
  let scale := times (clip_exponent exponent) LN2_DIGITS in
  let '(part, shift, _) := ln_of_mantissa mantissa 0 in
  add scale (0, shift_down part (7 - shift)).

Theorem ln_of_one_is_zero : ln_word 0 (2 ^ 63) = (0, 0).
Proof. vm_compute. reflexivity. Qed.

(** ** The rest, in units of [2^-71] *)

Theorem rest_is_rounded_down (i high low : Z) : 0 <= i < TABLE_STEPS ->
  (256 + i) * 2 ^ 55 <= high < (257 + i) * 2 ^ 55 -> 0 <= low < 2 ^ 32 ->
  let t := rest_of (reciprocal i) high low in let exact := (high * 2 ^ 32 + low) * reciprocal i - 2 ^ 111 in
  t * 2 ^ 40 <= exact < t * 2 ^ 40 + 2 ^ 40 /\ 0 <= t < 2 ^ 63.
Proof.
  intros Hi Hhigh Hlow. cbv zeta. destruct (a_step_of_ln_fits i Hi) as (least & limit & r_range & _).
  unfold TABLE_STEPS in *. set (r := reciprocal i) in *. clearbody r. unfold rest_of, DIGIT_BITS.
  rewrite mask_is_remainder, !right_is_quotient, left_is_product by lia.
  pose proof (Z.div_mod high (2 ^ 32) ltac:(lia)) as divided.
  pose proof (Z.mod_pos_bound high (2 ^ 32) ltac:(lia)) as y_range.
  set (x := high / 2 ^ 32) in *. set (y := high mod 2 ^ 32) in *. clearbody x y.
  assert (x_range : (256 + i) * 2 ^ 23 <= x < (257 + i) * 2 ^ 23) by lia.
  assert (xr_range : 2 ^ 47 <= x * r < 2 ^ 48) by nia.
  assert (yr_range : 0 <= y * r < 2 ^ 48) by nia. assert (lr_range : 0 <= low * r < 2 ^ 48) by nia.
  assert (exact_range : 2 ^ 111 <= (high * 2 ^ 32 + low) * r < 2 ^ 111 + 2 ^ 103).
  { split; [nia|]. assert (high * 2 ^ 32 + low < (257 + i) * 2 ^ 87) by lia. nia. }
  replace ((high * 2 ^ 32 + low) * r) with (x * r * 2 ^ 64 + y * r * 2 ^ 32 + low * r) in * by (rewrite
    divided; ring).
  set (xr := x * r) in *. set (yr := y * r) in *. set (lr := low * r) in *. clearbody xr yr lr.
  clear - xr_range yr_range lr_range exact_range. unfold word.
  rewrite (Z.mod_small xr), (Z.mod_small yr), (Z.mod_small lr), (Z.mod_small (xr - 2 ^ 47)) by lia.
  assert (q_range : 0 <= lr / 2 ^ 32 < 2 ^ 16) by (Z.div_mod_to_equations; lia).
  rewrite (Z.mod_small (yr + lr / 2 ^ 32)) by lia.
  assert (lr / 2 ^ 32 * 2 ^ 32 <= lr < lr / 2 ^ 32 * 2 ^ 32 + 2 ^ 32) by (Z.div_mod_to_equations; lia).
  set (q := lr / 2 ^ 32) in *. clearbody q.
  assert ((yr + q) / 2 ^ 8 * 2 ^ 8 <= yr + q < (yr + q) / 2 ^ 8 * 2 ^ 8 + 2 ^ 8) by (Z.div_mod_to_equations;
    lia).
  set (p := (yr + q) / 2 ^ 8) in *. clearbody p.
  assert (0 <= (xr - 2 ^ 47) * 2 ^ 24 < 2 ^ 63 + 2 ^ 24) by lia.
  rewrite (Z.mod_small ((xr - 2 ^ 47) * 2 ^ 24)), Z.mod_small by lia. lia.
Qed.

(** ** The polynomial *)

Definition is_step_down (t h c q : Z) : Prop := (c - q) * 2 ^ 64 <= t * h < (c - q) * 2 ^ 64 + 2 ^ 64.

Lemma a_step_down_is_rounded (t h c : Z) : 0 <= t < 2 ^ 63 -> 0 <= h <= c -> c < 2 ^ 64 ->
  let made := word (c - multiply_high t h) in is_step_down t h c made /\ 0 <= made <= c.
Proof.
  intros Ht Hh Hc. cbv zeta.
  destruct (multiply_high_bounds t h) as (near & low & small); [unfold is_word; lia..|].
  rewrite word_small by (unfold is_word; lia). unfold is_step_down. lia.
Qed.

Definition alternating_is_near (t : Z) (c : nat -> Z) (h2 : Z) : Prop :=
  exists h3 h4 h5 h6 h7, is_step_down t (c 8%nat) (c 7%nat) h7 /\ is_step_down t h7 (c 6%nat) h6 /\
  is_step_down t h6 (c 5%nat) h5 /\ is_step_down t h5 (c 4%nat) h4 /\ is_step_down t h4 (c 3%nat) h3 /\
  is_step_down t h3 (c 2%nat) h2.

Theorem alternating_is_rounded_as_stated (t : Z) : 0 <= t < 2 ^ 63 ->
  let made := alternating t LN_COEFFICIENTS in
  alternating_is_near t (fun n => nth (n - 2) LN_COEFFICIENTS 0) made /\ 0 <= made <= 2 ^ 56.
Proof.
  intros Ht. cbv zeta. unfold alternating, alternating_is_near, LN_COEFFICIENTS.
  cbn [rev app fold_left nth Nat.sub].
  pose proof (a_step_down_is_rounded t) as step. cbv zeta in step.
  match goal with |- context [word (?c - multiply_high t ?h)] =>
    match h with Z.pos _ => destruct (step h c Ht) as [near7 range7]; [lia..|];
    set (h7 := word (c - multiply_high t h)) in * end end.
  match goal with |- context [word (?c - multiply_high t h7)] =>
    destruct (step h7 c Ht) as [near6 range6]; [lia..|]; set (h6 := word (c - multiply_high t h7)) in * end.
  match goal with |- context [word (?c - multiply_high t h6)] =>
    destruct (step h6 c Ht) as [near5 range5]; [lia..|]; set (h5 := word (c - multiply_high t h6)) in * end.
  match goal with |- context [word (?c - multiply_high t h5)] =>
    destruct (step h5 c Ht) as [near4 range4]; [lia..|]; set (h4 := word (c - multiply_high t h5)) in * end.
  match goal with |- context [word (?c - multiply_high t h4)] =>
    destruct (step h4 c Ht) as [near3 range3]; [lia..|]; set (h3 := word (c - multiply_high t h4)) in * end.
  match goal with |- context [word (?c - multiply_high t h3)] =>
    destruct (step h3 c Ht) as [near2 range2]; [lia..|]; set (h2 := word (c - multiply_high t h3)) in * end.
  split; [exists h3, h4, h5, h6, h7; auto 10|]. lia.
Qed.

