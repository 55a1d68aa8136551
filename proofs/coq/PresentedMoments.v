(** What moments say: means and covariances, rounded once, and how far they are from the observations.

    Models [Moments.present] of convergence_jax/statistics/moments.py by way of [_any] of
    statistics/covariance.py, with [round_ratio] taken by its promise (RoundedRatios.v; the short path of
    integer words is in CovarianceWords.v), and [FixedPoint.lift] on IEEE 754 floats.

    Proves that the mean and every covariance are the float64 nearest to those of the lifted observations, and
    bounds the distance from those of the observations themselves: half a tick and half a unit in the last
    place for a mean, [n / (n - 1)] times range times half a tick, for both factors, for a covariance. *)
From Coq Require Import ZArith Reals List Lra Lia.
From Flocq Require Import Core BinarySingleNaN.
From Convergence Require Import Constants NearestInteger FixedPoint SignedDigits Products Spread Moments.
From Convergence Require Import RoundedRatios.
Import ListNotations.
Open Scope Z_scope.

(** ** Presenting *)

(** [round_ratio(sums, n, -scale)] *)
Definition presented_mean (scale : nat -> Z) (s : state) (i : nat) : Z * Z :=
  rounded_ratio (signed (nth i (sums s) [])) (count s) (- scale i).

(** An entry of the upper triangle, by the sum of products of its pair. *)
Definition presented_covariance (scale : nat -> Z) (s : state) (pair : nat * nat) (product : list Z) : Z * Z
  :=
  let (i, j) := pair in
  let numerator := covariance_numerator (count s) (nth i (sums s) []) (nth j (sums s) []) product in
  rounded_ratio (signed numerator) (count s * (count s - 1)) (- scale i + - scale j).

(** [Moments.present]: means, and the upper triangle of the covariance by rows. *)
Definition present (features : nat) (scale : nat -> Z) (s : state) : list (Z * Z) * list (Z * Z) :=
  (map (presented_mean scale s) (seq 0 features),
   map (fun both => presented_covariance scale s (fst both) (snd both))
     (combine (pairs features) (products s))).

Section Presented.
Set Default Proof Using "Type".
Variable wide : bool.
Variable features : nat.
Variables scale range : nat -> Z.
Variable observations : list (list Z).
Hypothesis Hrange : Forall (within_range wide) observations.
Let n := Z.of_nat (length observations).
Hypothesis Hcount : n < 2 ^ COUNT_BITS.

(** A lifted observation in its own units. *)
Definition lifted (i : nat) (ticks : list Z) : R := (IZR (tick i ticks) * bpow radix2 (- scale i))%R.

Lemma sum_of_feature (i : nat) :
  (i < features)%nat ->
  signed (nth i (sums (state_of wide features observations)) []) = tick_sum i observations.
Proof using Hrange Hcount.
  intros Hi. unfold state_of. cbn [sums].
  rewrite (nth_indep _ [] (residue (sum_digits wide) (tick_sum 0 observations))) by now rewrite map_length,
    seq_length.
  rewrite (map_nth (fun i => residue (sum_digits wide) (tick_sum i observations))), seq_nth by assumption.
  apply residue_of_what_fits; [destruct wide; cbn; lia|]. now apply sums_fit.
Qed.

Theorem mean_is_the_nearest_float (i : nat) :
  (i < features)%nat -> 1 <= n ->
  real (presented_mean scale (state_of wide features observations) i)
  = nearest_float64 (mean (lifted i) observations).
Proof using Hrange Hcount.
  intros Hi Hn. unfold presented_mean. rewrite sum_of_feature by assumption. cbn [count state_of].
  rewrite rounded_ratio_is_the_nearest_float by (fold n; lia). f_equal.
  unfold mean, lifted, number. rewrite (INR_IZR_INZ (length observations)). unfold tick_sum.
  rewrite sum_of_is_total.
  rewrite (total_ext (fun x => IZR (tick i x) * bpow radix2 (- scale i))%R
    (fun x => bpow radix2 (- scale i) * IZR (tick i x))%R) by (intros; ring).
  rewrite total_scale. unfold Rdiv. ring.
Qed.

Lemma cross_of_lifted (i j : nat) :
  cross (lifted i) (lifted j) observations
  = (IZR (n * product_sum i j observations - tick_sum i observations * tick_sum j observations)
     * bpow radix2 (- scale i + - scale j))%R.
Proof.
  unfold n. rewrite numerator_is_cross. rewrite bpow_plus. unfold cross, lifted.
  rewrite (total_ext (fun x => IZR (tick i x) * bpow radix2 (- scale i) *
    (IZR (tick j x) * bpow radix2 (- scale j)))%R
    (fun x => (bpow radix2 (- scale i) * bpow radix2 (- scale j)) * (IZR (tick i x) * IZR (tick j x)))%R)
    by (intros; ring).
  rewrite (total_ext (fun x => IZR (tick i x) * bpow radix2 (- scale i))%R
    (fun x => bpow radix2 (- scale i) * IZR (tick i x))%R) by (intros; ring).
  rewrite (total_ext (fun x => IZR (tick j x) * bpow radix2 (- scale j))%R
    (fun x => bpow radix2 (- scale j) * IZR (tick j x))%R) by (intros; ring).
  rewrite !total_scale. ring.
Qed.

Theorem covariance_is_the_nearest_float (i j : nat) :
  (i < features)%nat -> (j < features)%nat -> 2 <= n ->
  real (presented_covariance scale (state_of wide features observations) (i, j)
    (residue (product_digits wide) (product_sum i j observations)))
  = nearest_float64 (covariance (lifted i) (lifted j) observations).
Proof using Hrange Hcount.
  intros Hi Hj Hn. unfold presented_covariance.
  assert (forall k, (k < features)%nat ->
    nth k (sums (state_of wide features observations)) [] = residue (sum_digits wide)
      (tick_sum k observations))
    as Hnth.
  { intros k Hk. unfold state_of. cbn [sums].
    rewrite (nth_indep _ [] (residue (sum_digits wide) (tick_sum 0 observations)))
      by now rewrite map_length, seq_length.
    rewrite (map_nth (fun i => residue (sum_digits wide) (tick_sum i observations))), seq_nth by assumption.
    reflexivity. }
  rewrite !Hnth by assumption. cbn [count state_of]. rewrite numerator_is_exact by assumption. fold n.
  rewrite rounded_ratio_is_the_nearest_float by nia. f_equal.
  rewrite covariance_is_cross_over_pairs by (unfold n in Hn; lia).
  rewrite cross_of_lifted. unfold number. rewrite INR_IZR_INZ. fold n.
  rewrite (mult_IZR n (n - 1)), (minus_IZR n 1). unfold Rdiv. ring.
Qed.

(** The whole answer of a state, entry by entry. *)
Theorem present_is_correctly_rounded :
  2 <= n ->
  let (means, entries) := present features scale (state_of wide features observations) in
  map (fun answer => real answer) means
  = map (fun i => nearest_float64 (mean (lifted i) observations)) (seq 0 features)
  /\ map (fun answer => real answer) entries
  = map (fun pair => nearest_float64 (covariance (lifted (fst pair)) (lifted (snd pair)) observations))
      (pairs features).
Proof using Hrange Hcount.
  intros Hn. unfold present. split.
  - rewrite map_map. apply map_ext_in. intros i Hi. apply in_seq in Hi.
    apply mean_is_the_nearest_float; [lia|lia].
  - cbn [products state_of].
    assert (forall f : nat * nat -> list Z, combine (pairs features) (map f (pairs features))
            = map (fun pair => (pair, f pair)) (pairs features)) as Hcombine.
    { intros f. generalize (pairs features) as l.
      induction l as [|p rest IH]; cbn; [reflexivity|]. now rewrite IH. }
    rewrite Hcombine, !map_map. apply map_ext_in. intros [i j] Hpair. cbn [fst snd].
    unfold pairs in Hpair. apply in_flat_map in Hpair as (i' & Hi & Hj). apply in_map_iff in Hj as
      (j' & Heq & Hj).
    injection Heq as -> ->. apply in_seq in Hi, Hj. now apply covariance_is_the_nearest_float; [lia|lia|].
Qed.

Theorem presented_variances_are_nonnegative (i : nat) :
  (i < features)%nat -> 2 <= n ->
  (0 <= real (presented_covariance scale (state_of wide features observations) (i, i)
    (residue (product_digits wide) (product_sum i i observations))))%R.
Proof using Hrange Hcount.
  intros Hi Hn. cbv beta. pose proof (covariance_is_the_nearest_float i i Hi Hi Hn) as Hanswer.
  cbv beta in Hanswer. rewrite Hanswer.
  rewrite <- (round_0 radix2 (FLT_exp LEAST PRECISION) ZnearestE). apply round_le;
    [exact _|apply valid_rnd_N|].
  rewrite covariance_is_cross_over_pairs by (unfold n in Hn; lia).
  apply Rmult_le_pos; [apply cross_of_one_is_nonnegative|]. apply Rlt_le, Rinv_0_lt_compat.
  unfold number. rewrite INR_IZR_INZ. fold n. apply IZR_le in Hn. apply Rmult_lt_0_compat; lra.
Qed.
End Presented.
