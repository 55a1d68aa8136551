(** Means and covariances of lists of reals, and the inequality of Cauchy and Schwarz for them.

    The mathematical meaning of what [mean_and_covariance] of convergence_jax/statistics/covariance.py
    presents: the mean is the sum over the count, the covariance the sum of products of deviations over the
    count less one. Proves that [n * S_fg - S_f * S_g], which the code divides by [n * (n - 1)], is that
    covariance; that it is never negative for a variance; and bounds it by the ranges. *)
From Coq Require Import Reals List Lra Lia Permutation ZArith.
Import ListNotations.
Open Scope R_scope.

Section Spread.
Set Default Proof Using "Type".
Variable A : Type.
Implicit Types (f g h : A -> R) (l : list A).

Definition number l : R := INR (length l).

Fixpoint total f l : R :=
  match l with
  | [] => 0
  | x :: rest => f x + total f rest
  end.

Definition mean f l : R := total f l / number l.

Definition covariance f g l : R :=
  total (fun x => (f x - mean f l) * (g x - mean g l)) l / (number l - 1).

(** [n * S_fg - S_f * S_g] *)
Definition cross f g l : R := number l * total (fun x => f x * g x) l - total f l * total g l.

Lemma number_cons x l : number (x :: l) = number l + 1.
Proof. unfold number. cbn [length]. now rewrite S_INR. Qed.

Lemma number_nonnegative l : 0 <= number l.
Proof. apply pos_INR. Qed.

Lemma total_plus f g l : total (fun x => f x + g x) l = total f l + total g l.
Proof. induction l as [|x rest IH]; cbn [total]; [ring|rewrite IH; ring]. Qed.

Lemma total_scale c f l : total (fun x => c * f x) l = c * total f l.
Proof. induction l as [|x rest IH]; cbn [total]; [ring|rewrite IH; ring]. Qed.

Lemma total_constant c l : total (fun _ => c) l = c * number l.
Proof.
  induction l as [|x rest IH]; cbn [total]; [unfold number; simpl; ring|rewrite IH, number_cons; ring].
Qed.

Lemma total_ext f g l : (forall x, In x l -> f x = g x) -> total f l = total g l.
Proof.
  intros H. induction l as [|x rest IH]; cbn [total]; [reflexivity|].
  rewrite (H x) by (left; reflexivity). rewrite IH; [reflexivity|]. intros y Hy. apply H. right. assumption.
Qed.

Lemma total_le f g l : (forall x, In x l -> f x <= g x) -> total f l <= total g l.
Proof.
  intros H. induction l as [|x rest IH]; cbn [total]; [lra|].
  pose proof (H x (or_introl eq_refl)). enough (total f rest <= total g rest) by lra.
  apply IH. intros y Hy. apply H. right. assumption.
Qed.

Lemma total_abs f l : Rabs (total f l) <= total (fun x => Rabs (f x)) l.
Proof.
  induction l as [|x rest IH]; cbn [total]; [rewrite Rabs_R0; lra|].
  eapply Rle_trans; [apply Rabs_triang|lra].
Qed.

Lemma cross_is_symmetric f g l : cross f g l = cross g f l.
Proof.
  unfold cross. rewrite (total_ext (fun x => f x * g x) (fun x => g x * f x)) by (intros; ring). ring.
Qed.

Lemma cross_plus f g h l : cross (fun x => f x + g x) h l = cross f h l + cross g h l.
Proof.
  unfold cross. rewrite total_plus.
  rewrite (total_ext _ (fun x => f x * h x + g x * h x)) by (intros; ring). rewrite total_plus. ring.
Qed.

Lemma cross_scale c f g l : cross (fun x => c * f x) g l = c * cross f g l.
Proof.
  unfold cross. rewrite total_scale.
  rewrite (total_ext _ (fun x => c * (f x * g x))) by (intros; ring). rewrite total_scale. ring.
Qed.

(** The deviations from the means have the same cross term, divided by [n]. *)
Theorem deviations_multiply_to_cross f g l :
  l <> [] -> number l * total (fun x => (f x - mean f l) * (g x - mean g l)) l = cross f g l.
Proof.
  intros Hl. assert (number l <> 0) as Hn.
  { destruct l; [easy|]. rewrite number_cons. pose proof (number_nonnegative l). lra. }
  rewrite (total_ext _ (fun x => f x * g x + (- mean g l * f x + (- mean f l * g x + mean f l * mean g l))))
    by (intros; ring).
  rewrite !total_plus, !total_scale, total_constant. unfold mean, cross. field. assumption.
Qed.

Theorem covariance_is_cross_over_pairs f g l :
  (2 <= length l)%nat -> covariance f g l = cross f g l / (number l * (number l - 1)).
Proof.
  intros Hl. assert (2 <= number l) by (unfold number; now apply (le_INR 2)).
  rewrite <- deviations_multiply_to_cross by (destruct l; [simpl in Hl; lia|easy]).
  unfold covariance. field. lra.
Qed.

(** A variance is never negative. *)
Theorem cross_of_one_is_nonnegative f l : 0 <= cross f f l.
Proof.
  destruct l as [|x rest]; [unfold cross, number; simpl; lra|].
  set (l := x :: rest). assert (l <> []) as Hl by easy.
  rewrite <- deviations_multiply_to_cross by assumption.
  apply Rmult_le_pos; [apply number_nonnegative|].
  replace 0 with (total (fun _ => 0) l) by (rewrite total_constant; ring).
  apply total_le. intros y _. apply Rle_0_sqr.
Qed.

Theorem cauchy_schwarz f g l : (cross f g l) ^ 2 <= cross f f l * cross g g l.
Proof.
  assert (forall t, 0 <= cross f f l + 2 * t * cross f g l + t ^ 2 * cross g g l) as Hquadratic.
  { intros t. pose proof (cross_of_one_is_nonnegative (fun x => f x + t * g x) l) as H.
    rewrite cross_plus, cross_scale in H.
    rewrite (cross_is_symmetric f (fun x => f x + t * g x)) in H.
    rewrite (cross_is_symmetric g (fun x => f x + t * g x)) in H.
    rewrite !cross_plus, !cross_scale, (cross_is_symmetric g f) in H. lra. }
  pose proof (cross_of_one_is_nonnegative g l) as Hg.
  destruct (Req_dec (cross g g l) 0) as [Hzero | Hsome].
  - destruct (Req_dec (cross f g l) 0) as [-> | Hcross]; [rewrite Hzero; lra|].
    specialize (Hquadratic (- (cross f f l + 1) / (2 * cross f g l))).
    rewrite Hzero in Hquadratic. exfalso.
    replace (2 * (- (cross f f l + 1) / (2 * cross f g l)) * cross f g l) with (- (cross f f l + 1))
      in Hquadratic by (field; assumption). lra.
  - specialize (Hquadratic (- cross f g l / cross g g l)).
    apply (Rmult_le_compat_r (cross g g l)) in Hquadratic; [|assumption].
    replace ((cross f f l + 2 * (- cross f g l / cross g g l) * cross f g l
              + (- cross f g l / cross g g l) ^ 2 * cross g g l) * cross g g l)
      with (cross f f l * cross g g l - cross f g l ^ 2) in Hquadratic by (field; assumption).
    lra.
Qed.

Lemma cross_of_one_is_bounded f l bound :
  (forall x, In x l -> Rabs (f x) <= bound) -> cross f f l <= (number l * bound) ^ 2.
Proof.
  intros H. unfold cross.
  assert (total (fun x => f x * f x) l <= bound ^ 2 * number l) as Hsquares.
  { rewrite <- total_constant. apply total_le. intros x Hx. specialize (H x Hx).
    pose proof (Rabs_pos (f x)). replace (f x * f x) with (Rabs (f x) * Rabs (f x)); [nra|].
    rewrite <- Rabs_mult. apply Rabs_pos_eq. apply Rle_0_sqr. }
  pose proof (number_nonnegative l) as Hn. pose proof (Rle_0_sqr (total f l)) as Hsquare. unfold Rsqr in
    Hsquare.
  apply (Rmult_le_compat_l (number l)) in Hsquares; [|assumption]. nra.
Qed.

(** What two bounded variables have in common at most; one factor may be given by its spread instead. *)
Theorem cross_is_bounded_by_spread f g l deviation bound :
  0 <= deviation -> 0 <= bound -> cross f f l <= (number l * deviation) ^ 2 ->
  (forall x, In x l -> Rabs (g x) <= bound) ->
  Rabs (cross f g l) <= number l ^ 2 * (deviation * bound).
Proof.
  intros Hdeviation Hbound Hf Hg. apply cross_of_one_is_bounded in Hg.
  pose proof (cauchy_schwarz f g l) as Hcs.
  pose proof (cross_of_one_is_nonnegative f l). pose proof (cross_of_one_is_nonnegative g l).
  pose proof (number_nonnegative l) as Hn.
  assert (0 <= number l ^ 2 * (deviation * bound)) as Hright.
  { apply Rmult_le_pos; [apply pow2_ge_0|apply Rmult_le_pos; assumption]. }
  rewrite <- (Rabs_pos_eq _ Hright). apply Rsqr_le_abs_0. rewrite !Rsqr_pow2.
  apply Rle_trans with (1 := Hcs).
  apply Rle_trans with ((number l * deviation) ^ 2 * (number l * bound) ^ 2).
  - apply Rmult_le_compat; assumption.
  - apply Req_le. ring.
Qed.

Theorem cross_is_bounded f g l bound_f bound_g :
  0 <= bound_f -> 0 <= bound_g ->
  (forall x, In x l -> Rabs (f x) <= bound_f) -> (forall x, In x l -> Rabs (g x) <= bound_g) ->
  Rabs (cross f g l) <= number l ^ 2 * (bound_f * bound_g).
Proof.
  intros Hbf Hbg Hf Hg. apply cross_is_bounded_by_spread; try assumption.
  now apply cross_of_one_is_bounded.
Qed.
End Spread.

Arguments total_ext {A}. Arguments number {A}. Arguments total {A}. Arguments mean {A}. Arguments covariance
  {A}. Arguments cross {A}.
