(** How far presented moments are from those of the observations before the lift.

    Models observations as float64, lifted by [FixedPoint.lift] of convergence_jax/exact/fixed_point.py and
    summed and presented by [Moments] of statistics/moments.py. Proves, for every set of fewer than
    [2^COUNT_BITS] observations that are held: a presented mean is within half a tick and half a unit in the
    last place of the exact mean; a presented covariance, before its rounding, within [n / (n - 1)] times
    [2^range_i * half a tick of j + half a tick of i * 2^range_j] of the exact covariance, or, where the
    spread is known, within the same with standard deviations in the place of ranges. *)
From Coq Require Import ZArith Reals List Lra Lia.
From Flocq Require Import Core BinarySingleNaN.
From Convergence Require Import Constants NearestInteger FixedPoint SignedDigits Products Spread Moments.
From Convergence Require Import RoundedRatios PresentedMoments.
Import ListNotations.

(** ** Perturbed variables *)
Section Perturbed.
Set Default Proof Using "Type".
Open Scope R_scope.
Variable A : Type.
Variables x y x' y' : A -> R.
Variables error_x error_y : R.
Variable l : list A.
Hypothesis Hx : forall a, In a l -> Rabs (x' a - x a) <= error_x.
Hypothesis Hy : forall a, In a l -> Rabs (y' a - y a) <= error_y.
Hypothesis Hsome : (2 <= length l)%nat.

Lemma number_is_two_or_more : 2 <= number l.
Proof using Hsome. unfold number. now apply (le_INR 2). Qed.

Lemma errors_are_nonnegative : 0 <= error_x /\ 0 <= error_y.
Proof using Hx Hy Hsome.
  destruct l as [|a rest]; [simpl in Hsome; lia|].
  pose proof (Hx a (or_introl eq_refl)). pose proof (Hy a (or_introl eq_refl)).
  pose proof (Rabs_pos (x' a - x a)). pose proof (Rabs_pos (y' a - y a)). lra.
Qed.

Lemma cross_difference :
  cross x' y' l - cross x y l
  = cross x' (fun a => y' a - y a) l + cross (fun a => x' a - x a) y' l
    - cross (fun a => x' a - x a) (fun a => y' a - y a) l.
Proof.
  assert (forall f g : A -> R, cross x' (fun a => f a + -1 * g a) l = cross x' f l - cross x' g l) as Hright.
  { intros f g. rewrite cross_is_symmetric, cross_plus, cross_scale.
    rewrite (cross_is_symmetric _ f), (cross_is_symmetric _ g). ring. }
  assert (forall f g h : A -> R, cross (fun a => f a - g a) h l = cross f h l - cross g h l) as Hleft.
  { intros f g h.
    replace (cross (fun a => f a - g a) h l) with (cross (fun a => f a + -1 * g a) h l).
    - rewrite cross_plus, cross_scale. ring.
    - unfold cross. f_equal; [f_equal; apply total_ext; intros; ring|f_equal; apply total_ext; intros; ring].
      }
  rewrite (cross_is_symmetric _ x' (fun a => y' a - y a)).
  rewrite (cross_is_symmetric _ (fun a => x' a - x a) (fun a => y' a - y a)).
  rewrite !Hleft. rewrite (cross_is_symmetric _ y' (fun a => x' a - x a)),
    (cross_is_symmetric _ y (fun a => x' a - x a)).
  rewrite !Hleft. rewrite (cross_is_symmetric _ y' x'), (cross_is_symmetric _ y x'). ring.
Qed.

(** In terms of deviations [sqrt(cross / n^2)], the standard deviations with divisor [n], or bounds of them.
    *)
Theorem covariance_error_by_spread (deviation_x deviation_y : R) :
  0 <= deviation_x -> 0 <= deviation_y ->
  cross x' x' l <= (number l * deviation_x) ^ 2 -> cross y' y' l <= (number l * deviation_y) ^ 2 ->
  Rabs (covariance x' y' l - covariance x y l)
  <= number l / (number l - 1) * (deviation_x * error_y + error_x * deviation_y + error_x * error_y).
Proof using Hx Hy Hsome.
  intros Hdx Hdy Hsx Hsy. pose proof number_is_two_or_more as Hn. destruct errors_are_nonnegative as
    [Hex Hey].
  rewrite !covariance_is_cross_over_pairs by assumption.
  replace (cross x' y' l / (number l * (number l - 1)) - cross x y l / (number l * (number l - 1)))
    with ((cross x' y' l - cross x y l) * / (number l * (number l - 1))) by (field; lra).
  rewrite Rabs_mult, (Rabs_pos_eq (/ _)) by (apply Rlt_le, Rinv_0_lt_compat, Rmult_lt_0_compat; lra).
  rewrite cross_difference.
  pose proof (cross_is_bounded_by_spread _ x' (fun a => y' a - y a) l deviation_x error_y Hdx Hey Hsx Hy) as
    H1.
  pose proof (cross_is_bounded_by_spread _ y' (fun a => x' a - x a) l deviation_y error_x Hdy Hex Hsy Hx) as
    H2.
  rewrite cross_is_symmetric in H2.
  pose proof (cross_is_bounded _ (fun a => x' a - x a) (fun a => y' a - y a) l error_x error_y Hex Hey Hx Hy)
    as H3.
  apply Rle_trans with (number l ^ 2 * (deviation_x * error_y + error_x * deviation_y + error_x * error_y)
                        * / (number l * (number l - 1))).
  - apply Rmult_le_compat_r; [apply Rlt_le, Rinv_0_lt_compat, Rmult_lt_0_compat; lra|].
    apply Rabs_le. apply Rabs_le_inv in H1, H2, H3. lra.
  - apply Req_le. field. lra.
Qed.

(** In terms of ranges. *)
Theorem covariance_error_by_range (range_x range_y : R) :
  (forall a, In a l -> Rabs (x' a) <= range_x - 2 * error_x) ->
  (forall a, In a l -> Rabs (y' a) <= range_y - 2 * error_y) ->
  Rabs (covariance x' y' l - covariance x y l)
  <= number l / (number l - 1) * (range_x * error_y + error_x * range_y).
Proof using Hx Hy Hsome.
  intros Hrx Hry. pose proof number_is_two_or_more as Hn. destruct errors_are_nonnegative as [Hex Hey].
  assert (0 <= range_x - 2 * error_x /\ 0 <= range_y - 2 * error_y) as [Hpx Hpy].
  { destruct l as [|a rest]; [simpl in Hsome; lia|].
    pose proof (Hrx a (or_introl eq_refl)). pose proof (Hry a (or_introl eq_refl)).
    pose proof (Rabs_pos (x' a)). pose proof (Rabs_pos (y' a)). lra. }
  eapply Rle_trans.
  - apply (covariance_error_by_spread (range_x - 2 * error_x) (range_y - 2 * error_y));
      try assumption; now apply cross_of_one_is_bounded.
  - apply Rmult_le_compat_l.
    + apply Rmult_le_pos; [lra|]. apply Rlt_le, Rinv_0_lt_compat. lra.
    + nra.
Qed.
End Perturbed.

Lemma mean_error {A : Type} (x x' : A -> R) (error : R) (l : list A) :
  l <> [] -> (forall a, In a l -> Rabs (x' a - x a) <= error)%R -> (Rabs (mean x' l - mean x l) <= error)%R.
Proof.
  intros Hl H. assert (0 < number l)%R as Hn.
  { destruct l as [|a rest]; [easy|]. rewrite number_cons. pose proof (number_nonnegative A rest). lra. }
  unfold mean. replace (total x' l / number l - total x l / number l)%R
    with (total (fun a => x' a + -1 * x a)%R l * / number l)%R.
  2: { rewrite total_plus, total_scale. field. lra. }
  rewrite Rabs_mult, (Rabs_pos_eq (/ _)) by (now apply Rlt_le, Rinv_0_lt_compat).
  apply Rmult_le_reg_r with (number l); [assumption|].
  rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  eapply Rle_trans; [apply total_abs|]. rewrite <- total_constant. apply total_le.
  intros a Ha. replace (x' a + -1 * x a)%R with (x' a - x a)%R by ring. now apply H.
Qed.

Lemma total_map {A B : Type} (f : B -> R) (g : A -> B) (l : list A) :
  total f (map g l) = total (fun a => f (g a)) l.
Proof. induction l as [|a rest IH]; cbn [map total]; [reflexivity|now rewrite IH]. Qed.

Lemma mean_map {A B : Type} (f : B -> R) (g : A -> B) (l : list A) :
  mean f (map g l) = mean (fun a => f (g a)) l.
Proof. unfold mean, number. now rewrite total_map, map_length. Qed.

Lemma covariance_map {A B : Type} (f h : B -> R) (g : A -> B) (l : list A) :
  covariance f h (map g l) = covariance (fun a => f (g a)) (fun a => h (g a)) l.
Proof. unfold covariance. rewrite !mean_map, total_map. unfold number. now rewrite map_length. Qed.

(** ** Observations, their ticks, and the answers *)
Section Observations.
Set Default Proof Using "Type".
Open Scope Z_scope.
Variable wide : bool.
Variable features : nat.
Variables scale range : nat -> Z.
Hypothesis Hdeclared : forall i, (i < features)%nat -> declared (scale i) (range i).
Hypothesis Hwide : forall i, (i < features)%nat -> scale i + range i <= tick_bits wide.

Definition feature (i : nat) (x : list float64) : float64 := nth i x (B754_zero false).
Definition ticks_of (x : list float64) : list Z :=
  map (fun i => fst (lift (scale i) (range i) (feature i x))) (seq 0 features).
Definition is_held (x : list float64) : Prop :=
  forall i, (i < features)%nat -> snd (lift (scale i) (range i) (feature i x)) = true.

(** Half a tick, in units. *)
Definition half_tick (i : nat) : R := bpow radix2 (- (scale i + 1)).

Lemma tick_of_ticks (i : nat) (x : list float64) :
  (i < features)%nat -> tick i (ticks_of x) = fst (lift (scale i) (range i) (feature i x)).
Proof.
  intros Hi. unfold tick, ticks_of.
  set (one := fun i => fst (lift (scale i) (range i) (feature i x))).
  rewrite (nth_indep _ 0 (one 0%nat)) by now rewrite map_length, seq_length.
  now rewrite (map_nth one), seq_nth.
Qed.

Lemma held_lift (i : nat) (x : list float64) :
  (i < features)%nat -> is_held x -> lift (scale i) (range i) (feature i x) = (tick i (ticks_of x), true).
Proof.
  intros Hi Hheld. rewrite tick_of_ticks by assumption. specialize (Hheld i Hi).
  destruct (lift (scale i) (range i) (feature i x)) as [t h]. cbn in *. now subst.
Qed.

Lemma held_within_range (x : list float64) : is_held x -> within_range wide (ticks_of x).
Proof using Hdeclared Hwide.
  intros Hheld i. destruct (Nat.lt_ge_cases i features) as [Hi | Hi].
  - eapply Z.lt_le_trans.
    + apply (ticks_are_below_the_range _ _ (Hdeclared i Hi) (feature i x)). now apply held_lift.
    + apply Z.pow_le_mono_r; [easy|]. now apply Hwide.
  - unfold tick. rewrite nth_overflow by (unfold ticks_of; now rewrite map_length, seq_length).
    apply Z.pow_pos_nonneg; [easy|destruct wide; easy].
Qed.

Variable observations : list (list float64).
Hypothesis Hheld : forall x, In x observations -> is_held x.
Let n := Z.of_nat (length observations).
Hypothesis Hcount : n < 2 ^ COUNT_BITS.

(** The state that the code holds, by any tree of merges. *)
Let held_state := state_of wide features (map ticks_of observations).

Lemma all_within_range : Forall (within_range wide) (map ticks_of observations).
Proof using Hdeclared Hwide Hheld.
  apply Forall_map, Forall_forall. intros x Hx. now apply held_within_range, Hheld.
Qed.

Lemma count_of_ticks : Z.of_nat (length (map ticks_of observations)) = n.
Proof. unfold n. now rewrite map_length. Qed.

Lemma lifted_error (i : nat) (x : list float64) :
  (i < features)%nat -> In x observations ->
  (Rabs (lifted scale i (ticks_of x) - B2R (feature i x)) <= half_tick i)%R.
Proof using Hdeclared Hheld.
  intros Hi Hx. apply lifting_error_is_half_a_tick with (range_bits := range i); [now apply Hdeclared|].
  now apply held_lift, Hheld.
Qed.

Lemma lifted_range (i : nat) (x : list float64) :
  (i < features)%nat -> In x observations ->
  (Rabs (lifted scale i (ticks_of x)) <= bpow radix2 (range i) - 2 * half_tick i)%R.
Proof using Hdeclared Hheld.
  intros Hi Hx. pose proof (Hdeclared i Hi) as [Hbits _].
  pose proof (ticks_are_below_the_range _ _ (Hdeclared i Hi) _ _ (held_lift i x Hi (Hheld x Hx))) as Hticks.
  unfold lifted. rewrite Rabs_mult, (Rabs_pos_eq (bpow _ _)) by apply bpow_ge_0. rewrite <- abs_IZR.
  assert (IZR (Z.abs (tick i (ticks_of x))) <= bpow radix2 (scale i + range i) - 1)%R as Hbound.
  { rewrite <- power_of_two, <- minus_IZR by lia. apply IZR_le. lia. }
  apply (Rmult_le_compat_r (bpow radix2 (- scale i))) in Hbound; [|apply bpow_ge_0].
  apply Rle_trans with (1 := Hbound). apply Req_le. unfold half_tick.
  rewrite Rmult_minus_distr_r, <- bpow_plus, Rmult_1_l.
  replace (scale i + range i + - scale i) with (range i) by ring.
  replace (- scale i) with (1 + - (scale i + 1)) at 1 by ring. rewrite bpow_plus. reflexivity.
Qed.

Theorem presented_mean_error (i : nat) :
  (i < features)%nat -> 1 <= n ->
  let answer := real (presented_mean scale held_state i) in
  (Rabs (answer - mean (fun x => B2R (feature i x)) observations)
   <= half_tick i + / 2 * ulp radix2 (FLT_exp LEAST PRECISION) answer)%R.
Proof using Hdeclared Hwide Hheld Hcount.
  intros Hi Hn answer.
  assert (answer = nearest_float64 (mean (fun x => lifted scale i (ticks_of x)) observations)) as Hanswer.
  { unfold answer, held_state. rewrite <- mean_map.
    apply (mean_is_the_nearest_float wide features scale (map ticks_of observations) all_within_range);
      now rewrite ?count_of_ticks. }
  rewrite Hanswer.
  pose proof (error_le_half_ulp_round radix2 (FLT_exp LEAST PRECISION) (fun t => negb (Z.even t))
    (mean (fun x => lifted scale i (ticks_of x)) observations)) as Hround.
  assert (Rabs (mean (fun x => lifted scale i (ticks_of x)) observations
                - mean (fun x => B2R (feature i x)) observations) <= half_tick i)%R as Hlift.
  { apply mean_error; [intros ->; cbn in *; lia|]. intros x Hx. now apply lifted_error. }
  set (exact := mean (fun x => B2R (feature i x)) observations) in *.
  set (middle := mean (fun x => lifted scale i (ticks_of x)) observations) in *.
  replace (nearest_float64 middle - exact)%R with ((nearest_float64 middle - middle) + (middle - exact))%R by
    ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.

(** The covariance of the lifted observations, of which the answer is the nearest float. *)
Theorem lifted_covariance_error (i j : nat) :
  (i < features)%nat -> (j < features)%nat -> 2 <= n ->
  (Rabs (covariance (lifted scale i) (lifted scale j) (map ticks_of observations)
         - covariance (fun x => B2R (feature i x)) (fun x => B2R (feature j x)) observations)
   <= IZR n / (IZR n - 1) * (bpow radix2 (range i) * half_tick j + half_tick i * bpow radix2 (range j)))%R.
Proof using Hdeclared Hheld.
  intros Hi Hj Hn. rewrite covariance_map.
  replace (IZR n) with (number observations) by (unfold number, n; apply INR_IZR_INZ).
  apply covariance_error_by_range.
  - intros x Hx. now apply lifted_error.
  - intros x Hx. now apply lifted_error.
  - unfold n in Hn. lia.
  - intros x Hx. now apply lifted_range.
  - intros x Hx. now apply lifted_range.
Qed.

Theorem presented_covariance_error (i j : nat) :
  (i < features)%nat -> (j < features)%nat -> 2 <= n ->
  let answer := real (presented_covariance scale held_state (i, j)
    (residue (product_digits wide) (product_sum i j (map ticks_of observations)))) in
  (Rabs (answer - covariance (fun x => B2R (feature i x)) (fun x => B2R (feature j x)) observations)
   <= IZR n / (IZR n - 1) * (bpow radix2 (range i) * half_tick j + half_tick i * bpow radix2 (range j))
      + / 2 * ulp radix2 (FLT_exp LEAST PRECISION) answer)%R.
Proof using Hdeclared Hwide Hheld Hcount.
  intros Hi Hj Hn answer. pose proof (lifted_covariance_error i j Hi Hj Hn) as Hlift.
  set (exact := covariance _ _ observations) in *. set (middle := covariance _ _ (map _ _)) in *.
  assert (answer = nearest_float64 middle) as Hanswer.
  { unfold answer, held_state, middle.
    apply (covariance_is_the_nearest_float wide features scale (map ticks_of observations) all_within_range);
      now rewrite ?count_of_ticks. }
  rewrite Hanswer.
  pose proof (error_le_half_ulp_round radix2 (FLT_exp LEAST PRECISION) (fun t => negb (Z.even t)) middle) as
    Hround.
  replace (nearest_float64 middle - exact)%R with ((nearest_float64 middle - middle) + (middle - exact))%R by
    ring.
  eapply Rle_trans; [apply Rabs_triang|]. lra.
Qed.
End Observations.
