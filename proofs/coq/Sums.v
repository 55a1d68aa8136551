(** Sums of fixed-point observations.

    Models [Sum] of convergence_jax/statistics/sums.py ([lift], [merge], [collect], [present]) with
    [round_ratio] taken by its promise, and the digits of [Correlation] of statistics/correlation.py. Proves
    that no sum wraps around before a signed 64-bit count does; that the lanes of [collect] stay in a word for
    [2^31] observations; that total and mean are the float64 nearest to those of the lifted observations; and
    that the total, before its rounding, is within [count] times half a tick of that of the observations. *)
From Coq Require Import ZArith Reals List Lra Lia.
From Flocq Require Import Core.
From Convergence Require Import Constants NearestInteger FixedPoint SignedDigits Products Spread Moments.
From Convergence Require Import RoundedRatios PresentedMoments.
Import ListNotations.
Open Scope Z_scope.

(** [Sum._length], and [Correlation._lengths] *)
Definition length_of_sum (wide : bool) : nat := if wide then 4 else 3.
Definition length_of_products (wide : bool) : nat := if wide then 8 else 4.

Lemma fits_by_word_count (length : nat) (n bound x : Z) :
  0 <= n <= 2 ^ 63 - 1 -> 0 <= bound -> Z.abs x <= n * bound ->
  (2 ^ 63 - 1) * bound < 2 ^ (DIGIT_BITS * Z.of_nat length - 1) -> fits length x.
Proof.
  intros Hn Hbound Hx Hroom. unfold fits.
  assert (n * bound <= (2 ^ 63 - 1) * bound) by (apply Z.mul_le_mono_nonneg_r; lia). lia.
Qed.

Section Sums.
Set Default Proof Using "Type".
Variable wide : bool.
Variable observations : list (list Z).
Hypothesis Hrange : Forall (within_range wide) observations.
Let n := Z.of_nat (length observations).
(** The count is an [int64]. *)
Hypothesis Hcount : n < 2 ^ 63.

Theorem no_sum_wraps_around (i : nat) : fits (length_of_sum wide) (tick_sum i observations).
Proof using Hrange Hcount.
  apply (fits_by_word_count _ n (2 ^ tick_bits wide - 1)); [unfold n in *; lia| |now apply tick_sum_bound|];
    destruct wide; easy.
Qed.

Theorem no_sum_of_products_wraps_around (i j : nat) :
  fits (length_of_products wide) (product_sum i j observations).
Proof using Hrange Hcount.
  apply (fits_by_word_count _ n ((2 ^ tick_bits wide - 1) ^ 2));
    [unfold n in *; lia| |now apply product_sum_bound|]; destruct wide; easy.
Qed.

(** [collect]: the two lanes that are summed before the carries. *)
Theorem lanes_of_collect_fit (i : nat) :
  n <= 2 ^ 31 ->
  fits_word (sum_of (fun x => Z.land (tick i x) DIGIT_MASK) observations)
  /\ fits_word (sum_of (fun x => Z.shiftr (tick i x) DIGIT_BITS) observations).
Proof using Hrange.
  intros Hn.
  assert (forall f, (forall x, In x observations -> Z.abs (f x) <= BASE - 1) -> fits_word
    (sum_of f observations))
    as Hfits.
  { intros f Hf. assert (Z.abs (sum_of f observations) <= n * (BASE - 1)) as Hsum.
    { apply sum_of_bound. now apply Forall_forall. }
    assert (n * (BASE - 1) <= 2 ^ 31 * (BASE - 1)) by (apply Z.mul_le_mono_nonneg_r; [easy|lia]).
    unfold fits_word, BASE, DIGIT_BITS in *. lia. }
  split; apply Hfits; intros x Hx.
  - rewrite low_digit. pose proof (Z.mod_pos_bound (tick i x) BASE base_is_positive). lia.
  - pose proof (proj1 (Forall_forall _ _) Hrange x Hx i) as Htick. apply ticks_fit_words in Htick.
    rewrite Z.shiftr_div_pow2 by discriminate. fold BASE. unfold fits_word in Htick.
    assert (- BASE + 1 <= tick i x / BASE) by (apply Z.div_le_lower_bound; unfold BASE, DIGIT_BITS in *; lia).
    assert (tick i x / BASE < BASE) by (apply Z.div_lt_upper_bound; unfold BASE, DIGIT_BITS in *; lia). lia.
Qed.

(** [Sum.present] *)
Definition presented_total (scale : Z) (digits : list Z) : Z * Z := rounded_ratio (signed digits) 1 (- scale).
Definition presented_sum_mean (scale count : Z) (digits : list Z) : Z * Z :=
  rounded_ratio (signed digits) count (- scale).

Variable scale : nat -> Z.

Lemma total_of_lifted (i : nat) :
  total (lifted scale i) observations = (IZR (tick_sum i observations) * bpow radix2 (- scale i))%R.
Proof.
  unfold lifted, tick_sum. rewrite sum_of_is_total.
  rewrite (total_ext (fun x => IZR (tick i x) * bpow radix2 (- scale i))%R
    (fun x => bpow radix2 (- scale i) * IZR (tick i x))%R) by (intros; ring).
  rewrite total_scale. ring.
Qed.

Theorem total_is_the_nearest_float (i : nat) :
  real (presented_total (scale i) (residue (length_of_sum wide) (tick_sum i observations)))
  = nearest_float64 (total (lifted scale i) observations).
Proof using Hrange Hcount.
  unfold presented_total. rewrite residue_of_what_fits; [|destruct wide; cbn; lia|apply no_sum_wraps_around].
  rewrite rounded_ratio_is_the_nearest_float by lia. rewrite total_of_lifted. f_equal. field.
Qed.

Theorem sum_mean_is_the_nearest_float (i : nat) :
  1 <= n ->
  real (presented_sum_mean (scale i) n (residue (length_of_sum wide) (tick_sum i observations)))
  = nearest_float64 (mean (lifted scale i) observations).
Proof using Hrange Hcount.
  intros Hn. unfold presented_sum_mean.
  rewrite residue_of_what_fits; [|destruct wide; cbn; lia|apply no_sum_wraps_around].
  rewrite rounded_ratio_is_the_nearest_float by lia. f_equal. unfold mean, number.
  rewrite total_of_lifted, INR_IZR_INZ. fold n. unfold Rdiv. ring.
Qed.
End Sums.

(** [error_bound] of [SumValue]: [count] times half a tick. *)
Theorem total_error {A : Type} (x x' : A -> R) (half_tick : R) (l : list A) :
  (forall a, In a l -> Rabs (x' a - x a) <= half_tick)%R ->
  (Rabs (total x' l - total x l) <= number l * half_tick)%R.
Proof.
  intros H. replace (total x' l - total x l)%R with (total (fun a => x' a + -1 * x a)%R l).
  2: { rewrite total_plus, total_scale. ring. }
  eapply Rle_trans; [apply total_abs|]. rewrite Rmult_comm, <- total_constant. apply total_le.
  intros a Ha. replace (x' a + -1 * x a)%R with (x' a - x a)%R by ring. now apply H.
Qed.
