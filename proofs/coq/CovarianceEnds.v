(** Both ends of a covariance: convergence_jax/partition/answers/covariance_interval.py, [covariance_interval]
    before rounding and without [squares]. The lower end is the upper one of (x, -y), with the other sign.

    Proved: they hold every truth. *)
From Coq Require Import ZArith QArith List Lia.
From Convergence Require Import Liars Intervals Comoments CentredPoints CovarianceIntervals.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** [covariance_interval]: None where too few steps were allowed for. *)
Definition covariance_ends (steps : nat) (rounded : Q -> Q) (n x_sum y_sum products : Z) (first second : span)
  (missing : unseen) : option Q * option Q :=
  (option_map Qopp (highest steps rounded n x_sum (- y_sum) (- products) first (negated second) missing),
   highest steps rounded n x_sum y_sum products first second missing).

Definition flipped (one : point) : point := (fst one, - snd one).

Lemma sums_of_flipped (points : list point) :
  number (map flipped points) = number points /\
  sum_of fst (map flipped points) = sum_of fst points /\
  sum_of snd (map flipped points) = - sum_of snd points /\
  sum_of product (map flipped points) = - sum_of product points.
Proof.
  unfold number; rewrite map_length; split; auto.
  induction points as [|[x y] points (IH1 & IH2 & IH3)]; [simpl; lia|].
  cbn [map sum_of]; rewrite IH1, IH2, IH3; unfold product, flipped; cbn [fst snd]; lia.
Qed.

Lemma covariance_of_flipped (points : list point) :
  (covariance (map flipped points) == - covariance points)%Q.
Proof.
  unfold covariance, comoment; destruct (sums_of_flipped points) as (-> & -> & -> & ->).
  replace (number points * - sum_of product points - sum_of fst points * - sum_of snd points)
    with (- (number points * sum_of product points - sum_of fst points * sum_of snd points)) by ring.
  rewrite inject_Z_opp; unfold Qdiv; ring.
Qed.

Lemma flipped_are_within (first second : span) (points : list point) :
  Forall (within_spans first second) points ->
  Forall (within_spans first (negated second)) (map flipped points).
Proof.
  intros within; rewrite Forall_map; eapply Forall_impl, within.
  unfold within_spans, inside, flipped; simpl; lia.
Qed.

Theorem covariances_are_within (steps : nat) (rounded : Q -> Q) (first second : span) (missing : unseen)
  (kept gone added : list point) (lower upper : Q) :
  low first <= high first -> low second <= high second -> is_unseen missing ->
  may_be_points first second missing kept gone added -> 2 <= number (kept ++ added) ->
  let visible := kept ++ gone in
  covariance_ends steps rounded (number visible) (sum_of fst visible) (sum_of snd visible)
    (sum_of product visible) first second missing = (Some lower, Some upper) ->
  (lower <= covariance (kept ++ added) <= upper)%Q.
Proof.
  intros wide tall proper possible some; cbv zeta; unfold covariance_ends; intros result.
  injection result as lower_is upper_is; split.
  - destruct (highest _ _ _ _ (- _) _ _ _ _) as [top|] eqn:found; simpl in lower_is; [|discriminate].
    injection lower_is as <-.
    assert (flipped_too : may_be_points first (negated second) missing (map flipped kept) (map flipped gone)
                            (map flipped added)).
    { destruct possible as [here there few few_too]; constructor; rewrite <- ?map_app;
        auto using flipped_are_within; unfold number in *; now rewrite map_length. }
    assert (holds : (covariance (map flipped (kept ++ added)) <= top)%Q).
    { rewrite map_app; eapply (the_highest_covariance_holds_every_truth first (negated second) missing _ _ _
        flipped_too proper steps rounded top); auto; [simpl; lia | |].
      - rewrite <- map_app; destruct (sums_of_flipped (kept ++ added)) as (-> & _); auto.
      - rewrite <- map_app; destruct (sums_of_flipped (kept ++ gone)) as (-> & -> & -> & ->); auto. }
    rewrite covariance_of_flipped in holds.
    apply Qopp_le_compat in holds; now rewrite Qopp_involutive in holds.
  - eapply the_highest_covariance_holds_every_truth; eauto.
Qed.
