(** Points about the visible means, for the intervals of a covariance in
    convergence_jax/partition/answers/covariance_interval.py: everything is an integer there.

    Proved: a bound for centred points is one for the points, and the ends of mean intervals bound centred
    means. *)
From Coq Require Import ZArith QArith Lqa List Lia.
From Convergence Require Import Liars Intervals MeanIntervals Comoments.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What it means *)

Definition covariance (points : list point) : Q :=
  (inject_Z (comoment points) / inject_Z (number points * (number points - 1)))%Q.

Definition within_spans (first second : span) : point -> Prop :=
  inside (low first) (high first) (low second) (high second).

(** That [truth] may be all that there is, the points [kept] and [gone] being here. *)
Record may_be_points (first second : span) (missing : unseen) (kept gone added : list point) : Prop := {
  visible_are_within : Forall (within_spans first second) (kept ++ gone);
  added_are_within : Forall (within_spans first second) added;
  few_are_gone : at_most (number gone) (removals missing);
  few_are_added : at_most (number added) (additions missing)
}.

Lemma covariance_is_at_most (points : list point) (top : Q) :
  2 <= number points ->
  (inject_Z (comoment points) <= top * inject_Z (number points * (number points - 1)))%Q ->
  (covariance points <= top)%Q.
Proof.
  intros size below; apply Qle_shift_div_r; auto.
  change 0%Q with (inject_Z 0); rewrite <- Zlt_Qlt; nia.
Qed.

(** Coordinates about the visible means. *)
Definition centred (n x_sum y_sum : Z) (points : list point) : list point := map (moved n x_sum y_sum) points.

Lemma centred_are_within (n x_sum y_sum : Z) (first second : span) (points : list point) :
  0 <= n -> Forall (within_spans first second) points ->
  Forall (inside (n * low first - x_sum) (n * high first - x_sum) (n * low second - y_sum)
                 (n * high second - y_sum)) (centred n x_sum y_sum points).
Proof.
  intros size within; unfold centred; rewrite Forall_map; eapply Forall_impl, within.
  unfold within_spans, inside, moved; cbn [fst snd]; intros; nia.
Qed.

Lemma centred_top_is_a_top (n x_sum y_sum : Z) (truth : list point) (top : Q) :
  0 < n ->
  (inject_Z (comoment (centred n x_sum y_sum truth))
   <= top * inject_Z (number truth * (number truth - 1)))%Q ->
  (inject_Z (comoment truth)
   <= top / (inject_Z n * inject_Z n) * inject_Z (number truth * (number truth - 1)))%Q.
Proof.
  intros positive below; unfold centred in below; rewrite comoment_of_moved in below.
  assert (0 < inject_Z n)%Q by (change 0%Q with (inject_Z 0); now rewrite <- Zlt_Qlt).
  set (pairs := inject_Z (number truth * (number truth - 1))) in *.
  assert (equal : (top / (inject_Z n * inject_Z n) * pairs == top * pairs / (inject_Z n * inject_Z n))%Q).
  { field; lra. }
  rewrite equal; apply Qle_shift_div_l; [apply Qmult_lt_0_compat; auto|].
  rewrite !inject_Z_mult in below. lra.
Qed.

(** Integers as fractions. *)
Ltac as_fractions :=
  unfold Z.sub in *;
  repeat (rewrite inject_Z_plus in * || rewrite inject_Z_mult in * || rewrite inject_Z_opp in * ).

(** * Means, about the visible ones *)

Lemma total_of_part (part : point -> Z) (points : list point) : total (map part points) = sum_of part points.
Proof. induction points; simpl; lia. Qed.

Lemma count_of_part (part : point -> Z) (points : list point) : count (map part points) = number points.
Proof. unfold count, number; now rewrite map_length. Qed.

Lemma injected_is_positive (value : Z) : 0 < value -> (0 < inject_Z value)%Q.
Proof. intros; change 0%Q with (inject_Z 0); now rewrite <- Zlt_Qlt. Qed.

Lemma injected_is_not_negative (value : Z) : 0 <= value -> (0 <= inject_Z value)%Q.
Proof. intros; change 0%Q with (inject_Z 0); now rewrite <- Zle_Qle. Qed.

Lemma mean_is_a_quotient (values : list Z) :
  0 < count values -> (mean values == inject_Z (total values) / inject_Z (count values))%Q.
Proof.
  intros some; unfold mean; rewrite Qmake_Qdiv, Z2Pos.id; auto; reflexivity.
Qed.

(** [shifts]: between them lies the mean of the truth, in centred coordinates. *)
Lemma shifted_ends_hold (declared : span) (missing : unseen) (visible truth : list Z) (n sum : Z) :
  low declared <= high declared -> is_unseen missing -> shows declared n sum visible ->
  may_be declared missing visible truth -> 0 < count truth -> 0 < n ->
  let ends := mean_ends n sum declared missing in
  let centre := (inject_Z (n * total truth - count truth * sum) / inject_Z (count truth))%Q in
  (inject_Z n * fst ends - inject_Z sum <= centre <= inject_Z n * snd ends - inject_Z sum)%Q.
Proof.
  intros order proper here there some positive; cbv zeta.
  pose proof (no_truth_has_a_smaller_mean _ _ _ _ _ _ order proper here there some) as least.
  pose proof (no_truth_has_a_larger_mean _ _ _ _ _ _ order proper here there some) as most.
  assert (equal : (inject_Z (n * total truth - count truth * sum) / inject_Z (count truth)
                   == mean truth * inject_Z n - inject_Z sum)%Q).
  { rewrite (mean_is_a_quotient truth some); pose proof (injected_is_positive _ some).
    as_fractions; change (inject_Z (-1)) with (-1)%Q; field; lra. }
  rewrite equal; pose proof (injected_is_positive _ positive) as n_positive.
  pose proof (Qmult_le_compat_r _ _ (inject_Z n) least ltac:(lra)).
  pose proof (Qmult_le_compat_r _ _ (inject_Z n) most ltac:(lra)). lra.
Qed.
