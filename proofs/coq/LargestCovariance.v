(** The most that any sample covariance of so many observations in two spans can be: [_largest] of
    convergence_jax/partition/answers/covariance_interval.py.

    Proved: no truth with at least two observations and no more taken away than may be has a larger one. *)
From Coq Require Import ZArith QArith Lqa List Lia.
From Convergence Require Import Intervals Comoments CentredPoints.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** [_largest]: the most that any sample of so many has. *)
Definition largest_covariance (n : Z) (first second : span) (missing : unseen) : Q :=
  let least := Z.max 2 (n - removable n missing) in
  (inject_Z (least / 2 * ((least + 1) / 2) * (width first * width second))
   / inject_Z (least * (least - 1)))%Q.

Lemma no_covariance_is_larger (n : Z) (first second : span) (missing : unseen) (truth : list point) :
  low first <= high first -> low second <= high second ->
  Forall (within_spans first second) truth -> 2 <= number truth -> n - removable n missing <= number truth ->
  (covariance truth <= largest_covariance n first second missing)%Q.
Proof.
  intros wide tall within size enough; apply covariance_is_at_most; auto.
  pose proof (comoment_is_at_most_that_of_halves _ _ _ _ truth wide tall within) as most.
  unfold largest_covariance; cbv zeta; set (least := Z.max 2 (n - removable n missing)).
  pose proof (share_of_halves_does_not_grow least (number truth) ltac:(lia)) as share.
  set (one := least / 2 * ((least + 1) / 2)) in *.
  set (two := number truth / 2 * ((number truth + 1) / 2)) in *.
  assert (0 <= width first * width second) by (unfold width; nia).
  fold (width first) (width second) in most.
  assert (positive : 0 < least * (least - 1)) by nia.
  set (few := least * (least - 1)) in *; set (many := number truth * (number truth - 1)) in *.
  set (area := width first * width second) in *.
  assert (enough_too : comoment truth * few <= one * area * many) by nia.
  assert (0 < inject_Z few)%Q by (change 0%Q with (inject_Z 0); now rewrite <- Zlt_Qlt).
  assert (equal : (inject_Z (one * area) / inject_Z few * inject_Z many
                   == inject_Z (one * area * many) / inject_Z few)%Q).
  { rewrite (inject_Z_mult (one * area) many); field; lra. }
  rewrite equal; apply Qle_shift_div_l; auto.
  rewrite <- inject_Z_mult, <- Zle_Qle; auto.
Qed.
