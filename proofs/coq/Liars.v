(** Bounds on the honest observers' total, as convergence_jax/consensus/bounds.py computes them:
    [check_liars], [honest_range], [largest_sum] and [_by_integers].

    Each observer's evidence about one agent adds up to one integer, in units of the window or of float64. At
    most [liars] observers lie; nobody knows which, and they may say anything.

    Proved: the bounds hold the honest total for every set of liars and everything that they may say; each
    end is the total of some set, so that no narrower interval holds; they do not depend on the order of the
    observers, nor on silent ones between them; and they only widen as more may lie. That the code finds the
    largest by the words of the integers is in LargestByWords.v. *)
From Coq Require Import ZArith List Permutation Sorted Bool Lia.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

Definition total (values : list Z) : Z := fold_right Z.add 0 values.

Fixpoint insert (value : Z) (sorted : list Z) : list Z :=
  match sorted with
  | [] => [value]
  | first :: rest => if first <=? value then value :: sorted else first :: insert value rest
  end.

(** Python's [sorted(values, reverse=True)]. *)
Definition descending (values : list Z) : list Z := fold_right insert [] values.

(** What [bounds.largest_sum] stands for: the sum of the [number] largest. *)
Definition largest_sum (number : nat) (values : list Z) : Z := total (firstn number (descending values)).

(** The part of a value above zero, and below. *)
Definition gain (value : Z) : Z := Z.max value 0.
Definition loss (value : Z) : Z := Z.max (- value) 0.

(** [bounds.honest_range]. *)
Definition lower (said : list Z) (liars : nat) : Z := total said - largest_sum liars (map gain said).
Definition upper (said : list Z) (liars : nat) : Z := total said + largest_sum liars (map loss said).

(** [bounds.check_liars]: whether a number of liars is accepted. *)
Definition liars_are_a_minority (liars observers : nat) : bool :=
  ((liars =? 0) || (2 * liars <? observers))%nat.

(** * What it means *)

(** One flag an observer: whether it lies. *)
Definition number_lying (lying : list bool) : nat := length (filter (fun lies => lies) lying).

Fixpoint honest_total (lying : list bool) (said : list Z) : Z :=
  match lying, said with
  | lies :: lying, value :: said => (if lies then 0 else value) + honest_total lying said
  | _, _ => 0
  end.

(** Two tables that differ only in what liars say. *)
Definition same_honest_words (lying : list bool) (said meant : list Z) : Prop :=
  length said = length meant /\
  forall observer, nth observer lying true = false -> nth observer said 0 = nth observer meant 0.

(** * The sum of the largest *)

Definition descends (first second : Z) : Prop := second <= first.

Lemma insert_keeps_bound (bound value : Z) (sorted : list Z) :
  value <= bound -> Forall (descends bound) sorted -> Forall (descends bound) (insert value sorted).
Proof.
  intros below all; induction all; simpl.
  - constructor; auto.
  - destruct (_ <=? _); repeat constructor; auto.
Qed.

Lemma insert_sorted (value : Z) (sorted : list Z) :
  StronglySorted descends sorted -> StronglySorted descends (insert value sorted).
Proof.
  induction 1 as [|first rest sorted IH below]; simpl; [repeat constructor|].
  destruct (Z.leb_spec first value) as [le|gt].
  - repeat (constructor; auto).
    apply Forall_impl with (2 := below); unfold descends; lia.
  - constructor; auto. apply insert_keeps_bound; auto; unfold descends; lia.
Qed.

Lemma descending_sorted (values : list Z) : StronglySorted descends (descending values).
Proof. induction values; simpl; [constructor | now apply insert_sorted]. Qed.

Lemma insert_permutation (value : Z) (sorted : list Z) : Permutation (value :: sorted) (insert value sorted).
Proof.
  induction sorted as [|first rest IH]; simpl; auto.
  destruct (_ <=? _); auto.
  rewrite perm_swap. now constructor.
Qed.

Lemma descending_permutation (values : list Z) : Permutation values (descending values).
Proof.
  induction values as [|value values IH]; simpl; auto.
  rewrite <- insert_permutation. now constructor.
Qed.

Lemma one_more_adds_at_most (bound : Z) (number : nat) (sorted : list Z) :
  0 <= bound -> Forall (descends bound) sorted ->
  total (firstn (S number) sorted) <= bound + total (firstn number sorted).
Proof.
  intros positive; revert number; induction sorted as [|first rest IH]; intros number all.
  - now rewrite !firstn_nil; simpl; lia.
  - inversion all as [|? ? below all_rest]; subst; unfold descends in below.
    destruct number; simpl in *; [lia|]. specialize (IH number all_rest). simpl in IH. lia.
Qed.

Lemma largest_of_inserted (value : Z) (number : nat) (sorted : list Z) :
  0 <= value -> StronglySorted descends sorted ->
  total (firstn (S number) (insert value sorted)) =
  Z.max (value + total (firstn number sorted)) (total (firstn (S number) sorted)).
Proof.
  intros positive order; revert number; induction order as [|first rest order IH below]; intros number.
  - simpl. rewrite firstn_nil; simpl; lia.
  - simpl insert. destruct (Z.leb_spec first value) as [le|gt].
    + enough (total (firstn (S number) (first :: rest)) <= value + total (firstn number (first :: rest)))
        by (simpl in *; lia).
      apply one_more_adds_at_most; auto.
      constructor; auto. apply Forall_impl with (2 := below); unfold descends; lia.
    + destruct number as [|number]; [simpl; lia|].
      specialize (IH number). unfold total in *; simpl in *; lia.
Qed.

Definition none_negative (values : list Z) : Prop := Forall (fun value => 0 <= value) values.

Theorem largest_sum_step (value : Z) (number : nat) (values : list Z) :
  0 <= value ->
  largest_sum (S number) (value :: values) =
  Z.max (value + largest_sum number values) (largest_sum (S number) values).
Proof. intros; apply largest_of_inserted; auto using descending_sorted. Qed.

Lemma largest_sum_of_none (values : list Z) : largest_sum 0 values = 0.
Proof. reflexivity. Qed.

Lemma largest_sum_of_nothing (number : nat) : largest_sum number [] = 0.
Proof. now destruct number. Qed.

Lemma largest_sum_grows (number more : nat) (values : list Z) :
  (number <= more)%nat -> none_negative values -> largest_sum number values <= largest_sum more values.
Proof.
  intros le positive; revert number more le; induction positive as [|value values nonneg positive IH];
    intros number more le.
  - rewrite !largest_sum_of_nothing; lia.
  - assert (0 <= largest_sum more values) by (rewrite <- (largest_sum_of_none values); apply IH; lia).
    destruct number as [|number], more as [|more];
      rewrite ?largest_sum_of_none, ?largest_sum_step by auto; try lia.
    pose proof (IH number more ltac:(lia)). pose proof (IH (S number) (S more) ltac:(lia)). lia.
Qed.

Lemma gains_are_not_negative (said : list Z) : none_negative (map gain said).
Proof. induction said; constructor; auto; unfold gain; lia. Qed.

Lemma losses_are_not_negative (said : list Z) : none_negative (map loss said).
Proof. induction said; constructor; auto; unfold loss; lia. Qed.

(** * Containment and tightness *)

Lemma upper_is_the_lower_of_the_negated (said : list Z) (liars : nat) :
  upper said liars = - lower (map Z.opp said) liars.
Proof.
  unfold upper, lower.
  replace (map gain (map Z.opp said)) with (map loss said)
    by (rewrite map_map; apply map_ext; intros; unfold gain, loss; lia).
  enough (total (map Z.opp said) = - total said) by lia.
  induction said; simpl; lia.
Qed.

Lemma honest_total_of_the_negated (lying : list bool) (said : list Z) :
  honest_total lying (map Z.opp said) = - honest_total lying said.
Proof.
  revert said; induction lying as [|lies lying IH]; intros [|value said]; simpl; auto.
  rewrite IH; destruct lies; lia.
Qed.

Lemma lower_holds (lying : list bool) (said : list Z) (liars : nat) :
  length lying = length said -> (number_lying lying <= liars)%nat ->
  lower said liars <= honest_total lying said.
Proof.
  unfold lower, number_lying; revert said liars.
  induction lying as [|lies lying IH]; intros [|value said] liars size few; simpl in *; try lia.
  - rewrite largest_sum_of_nothing; lia.
  - pose proof (gains_are_not_negative said) as positive.
    destruct lies; simpl in few.
    + destruct liars as [|liars]; [lia|].
      specialize (IH said liars ltac:(lia) ltac:(lia)).
      rewrite largest_sum_step by (unfold gain; lia). unfold gain at 1; lia.
    + specialize (IH said liars ltac:(lia) ltac:(lia)).
      destruct liars as [|liars]; [rewrite largest_sum_of_none in *; lia|].
      rewrite largest_sum_step by (unfold gain; lia).
      unfold gain at 1; lia.
Qed.

Lemma lower_is_reached (said : list Z) (liars : nat) :
  exists lying, length lying = length said /\ (number_lying lying <= liars)%nat /\
                honest_total lying said = lower said liars.
Proof.
  unfold lower, number_lying; revert liars; induction said as [|value said IH]; intros liars.
  - exists []; simpl; rewrite largest_sum_of_nothing; auto with arith.
  - destruct liars as [|liars].
    + destruct (IH 0%nat) as (lying & size & few & equal).
      exists (false :: lying); rewrite largest_sum_of_none in *; simpl; repeat split; auto; lia.
    + cbn [map]. rewrite largest_sum_step by (unfold gain; lia).
      set (without := largest_sum (S liars) (map gain said)).
      destruct (Z.max_spec (gain value + largest_sum liars (map gain said)) without) as [[_ ->]|[_ ->]];
        subst without.
      * destruct (IH (S liars)) as (lying & size & few & equal).
        exists (false :: lying); simpl in *; repeat split; auto; lia.
      * destruct (IH liars) as (lying & size & few & equal); unfold gain in *.
        destruct (Z.le_gt_cases value 0).
        -- exists (false :: lying); simpl in *; repeat split; auto; lia.
        -- exists (true :: lying); simpl in *; repeat split; auto; lia.
Qed.

Lemma honest_words_make_the_honest_total (lying : list bool) (said meant : list Z) :
  length lying = length said -> same_honest_words lying said meant ->
  honest_total lying said = honest_total lying meant.
Proof.
  unfold same_honest_words; revert said meant.
  induction lying as [|lies lying IH]; intros [|value said] [|true_value meant] size [same equal]; simpl in *;
    try lia.
  rewrite (IH said meant); [|lia|split; [lia | intros observer; apply (equal (S observer))]].
  pose proof (equal 0%nat) as here; simpl in here; destruct lies; auto; rewrite here; auto.
Qed.

(** [said] is what arrived, [meant] what the observers would have said in honesty: liars may say anything. *)
Theorem bounds_hold_the_honest_total_whoever_lies (lying : list bool) (said meant : list Z) (liars : nat) :
  length lying = length said -> (number_lying lying <= liars)%nat -> same_honest_words lying said meant ->
  lower said liars <= honest_total lying meant <= upper said liars.
Proof.
  intros size few same. rewrite <- (honest_words_make_the_honest_total lying said) by auto. split.
  - now apply lower_holds.
  - rewrite upper_is_the_lower_of_the_negated.
    pose proof (lower_holds lying (map Z.opp said) liars) as holds.
    rewrite map_length, honest_total_of_the_negated in holds. specialize (holds size few). lia.
Qed.

Theorem both_bounds_are_reached (said : list Z) (liars : nat) :
  (exists lying, length lying = length said /\ (number_lying lying <= liars)%nat /\
                 honest_total lying said = lower said liars) /\
  (exists lying, length lying = length said /\ (number_lying lying <= liars)%nat /\
                 honest_total lying said = upper said liars).
Proof.
  split; [apply lower_is_reached|].
  destruct (lower_is_reached (map Z.opp said) liars) as (lying & size & few & equal).
  exists lying. rewrite upper_is_the_lower_of_the_negated, <- equal, honest_total_of_the_negated.
  rewrite map_length in size; repeat split; auto; lia.
Qed.

Theorem no_narrower_interval_holds (said : list Z) (liars : nat) (low high : Z) :
  (forall lying, length lying = length said -> (number_lying lying <= liars)%nat ->
                 low <= honest_total lying said <= high) ->
  low <= lower said liars /\ upper said liars <= high.
Proof.
  intros holds; destruct (both_bounds_are_reached said liars) as [(one & ? & ? & <-) (two & ? & ? & <-)].
  split; [apply holds | apply holds]; auto.
Qed.

Theorem bounds_are_in_order (said : list Z) (liars : nat) : lower said liars <= upper said liars.
Proof.
  destruct (lower_is_reached said liars) as (lying & size & few & equal); rewrite <- equal.
  apply (bounds_hold_the_honest_total_whoever_lies lying said said); auto; split; auto.
Qed.

Theorem bounds_widen_as_more_may_lie (said : list Z) (liars more : nat) :
  (liars <= more)%nat -> lower said more <= lower said liars /\ upper said liars <= upper said more.
Proof.
  intros le; unfold lower, upper.
  pose proof (largest_sum_grows liars more _ le (gains_are_not_negative said)).
  pose proof (largest_sum_grows liars more _ le (losses_are_not_negative said)). lia.
Qed.

Theorem without_liars_the_bounds_are_the_total (said : list Z) :
  lower said 0 = total said /\ upper said 0 = total said.
Proof. unfold lower, upper; rewrite !largest_sum_of_none; lia. Qed.

(** The sum of the [n - f] smallest is no bound where fewer than [f] lie: see lying_observers.md. *)
Example the_sum_of_the_smallest_misses_the_honest_total :
  let said := [-1; -1; -1] in
  let sum_of_smallest := total said - largest_sum 1 said in
  sum_of_smallest > honest_total [false; false; false] said /\ lower said 1 = -3.
Proof. now vm_compute. Qed.

(** * The order of the observers, and those that said nothing, do not matter *)

Lemma total_of_permuted (some others : list Z) : Permutation some others -> total some = total others.
Proof. induction 1; simpl; lia. Qed.

Lemma largest_sum_of_permuted (some others : list Z) :
  Permutation some others -> none_negative some ->
  forall number, largest_sum number some = largest_sum number others.
Proof.
  induction 1 as [|value some others same IH|one two some|some middle others ? IHsome same IHothers];
    intros positive number; auto.
  - inversion positive; subst.
    destruct number as [|number]; auto. now rewrite !largest_sum_step, !IH.
  - inversion positive as [|? ? ? rest]; inversion rest; subst.
    destruct number as [|[|number]]; auto; rewrite !largest_sum_step, ?largest_sum_of_none by auto; lia.
  - rewrite IHsome by auto; apply IHothers. unfold none_negative in *; eapply Permutation_Forall; eauto.
Qed.

Theorem bounds_do_not_depend_on_the_order (said others : list Z) (liars : nat) :
  Permutation said others -> lower said liars = lower others liars /\ upper said liars = upper others liars.
Proof.
  intros same; unfold lower, upper; rewrite (total_of_permuted _ _ same).
  rewrite (largest_sum_of_permuted (map gain said) (map gain others)),
    (largest_sum_of_permuted (map loss said) (map loss others));
    auto using Permutation_map, gains_are_not_negative, losses_are_not_negative.
Qed.

Lemma largest_sum_without_zero (number : nat) (values : list Z) :
  none_negative values -> largest_sum number (0 :: values) = largest_sum number values.
Proof.
  intros positive; destruct number as [|number]; auto.
  rewrite largest_sum_step by lia.
  pose proof (largest_sum_grows number (S number) values ltac:(lia) positive); lia.
Qed.

(** [bounds.blocks] pads every agent's row with zeros; [liars_interval] leaves silent observers out. *)
Theorem bounds_do_not_depend_on_the_silent (said : list Z) (silent liars : nat) :
  lower (repeat 0 silent ++ said) liars = lower said liars /\
  upper (repeat 0 silent ++ said) liars = upper said liars.
Proof.
  unfold lower, upper; induction silent as [|silent IH]; simpl; auto.
  change (gain 0) with 0; change (loss 0) with 0.
  rewrite !largest_sum_without_zero by auto using gains_are_not_negative, losses_are_not_negative.
  split; destruct IH; lia.
Qed.
