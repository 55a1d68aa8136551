(** What the log-odds of an agent can be, whoever lies and whatever has not arrived:
    convergence_jax/partition/answers/interval.py, [liars_interval] and [log_odds_interval].

    The code's fractions are integers here: finitely many have a common denominator, which is the unit.

    Proved: the interval holds the honest observers' true total for every set of liars, whatever liars say,
    and whatever of the honest observers' items was added or taken back unseen; both ends are reached where
    nothing is taken back; without liars it is the visible total widened by the caps. *)
From Coq Require Import ZArith List Permutation Bool Lia.
From Convergence Require Import Liars Intervals.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** [_times]: no bound times nothing is nothing. *)
Definition times (number : option Z) (size : Z) : option Z :=
  match number with
  | None => if size =? 0 then Some 0 else None
  | Some number => Some (number * size)
  end.

(** Two changes together; None if either has no bound. *)
Definition both (one two : option Z) : option Z :=
  match one, two with Some one, Some two => Some (one + two) | _, _ => None end.

(** [liars_interval]: both ends; None where nothing bounds the answer. *)
Definition liars_interval (said : list Z) (liars : nat) (prior : Z) (declared : span) (missing : unseen)
  : option Z * option Z :=
  let fall := both (times (additions missing) (loss (low declared)))
                   (times (removals missing) (gain (high declared))) in
  let rise := both (times (additions missing) (gain (high declared)))
                   (times (removals missing) (loss (low declared))) in
  (option_map (fun change => prior + lower said liars - change) fall,
   option_map (fun change => prior + upper said liars + change) rise).

(** [log_odds_interval]. *)
Definition log_odds_interval (sum prior : Z) (declared : span) (missing : unseen) : option Z * option Z :=
  liars_interval [sum] 0 prior declared missing.

(** * What it means *)

(** What one observer said about an agent, in honesty or not. *)
Record observer := Observer {
  remaining : list Z;  (** here, and still true *)
  taken_back : list Z; (** here, and taken back unseen *)
  unseen_items : list Z
}.

Definition visibly (one : observer) : Z := total (remaining one ++ taken_back one).
Definition truly (one : observer) : Z := total (remaining one ++ unseen_items one).

(** Over all honest observers together. *)
Definition honest_number (part : observer -> list Z) (lying : list bool) (observers : list observer) : Z :=
  honest_total lying (map (fun one => count (part one)) observers).

(** What the honest ones did unseen is within the caps and the range; nothing is asked of liars. *)
Definition honest_keep_to_caps (declared : span) (missing : unseen) (lying : list bool)
  (observers : list observer) : Prop :=
  at_most (honest_number unseen_items lying observers) (additions missing) /\
  at_most (honest_number taken_back lying observers) (removals missing) /\
  Forall (fun pair => fst pair = false ->
            Forall (within declared) (taken_back (snd pair) ++ unseen_items (snd pair)))
         (combine lying observers).

(** * Proofs *)

Lemma honest_totals_are_bounded (part : observer -> list Z) (declared : span) (lying : list bool)
  (observers : list observer) :
  Forall (fun pair => fst pair = false -> Forall (within declared) (part (snd pair)))
         (combine lying observers) ->
  - loss (low declared) * honest_number part lying observers
  <= honest_total lying (map (fun one => total (part one)) observers)
  <= gain (high declared) * honest_number part lying observers /\
  0 <= honest_number part lying observers.
Proof.
  unfold honest_number; revert observers; induction lying as [|lies lying IH]; intros [|one observers] inside;
    simpl in *; try lia.
  inversion inside as [|? ? first rest]; subst; simpl in first.
  specialize (IH observers rest).
  destruct lies; [lia|].
  pose proof (totals_are_within _ _ (first eq_refl)); pose proof (count_is_not_negative (part one)).
  unfold gain, loss in *; nia.
Qed.

Lemma honest_truth_is_what_is_visible_and_what_is_not (lying : list bool) (observers : list observer) :
  honest_total lying (map truly observers) =
  honest_total lying (map visibly observers)
  + honest_total lying (map (fun one => total (unseen_items one)) observers)
  - honest_total lying (map (fun one => total (taken_back one)) observers).
Proof.
  revert observers; induction lying as [|lies lying IH]; intros [|one observers]; simpl; auto.
  rewrite IH; unfold truly, visibly; rewrite !total_of_both; destruct lies; lia.
Qed.

Lemma times_is_the_most (number : option Z) (size some : Z) :
  0 <= size -> 0 <= some -> at_most some number -> at_most (size * some) (times number size).
Proof.
  unfold times, at_most; destruct number as [number|]; intros; [nia|].
  destruct (Z.eqb_spec size 0); auto; subst; lia.
Qed.

Theorem log_odds_are_within_whoever_lies (lying : list bool) (observers : list observer) (liars : nat)
  (prior : Z) (declared : span) (missing : unseen) :
  length lying = length observers -> (number_lying lying <= liars)%nat ->
  honest_keep_to_caps declared missing lying observers ->
  let truth := prior + honest_total lying (map truly observers) in
  let found := liars_interval (map visibly observers) liars prior declared missing in
  is_below (fst found) truth /\ at_most truth (snd found).
Proof.
  intros size few (few_added & few_taken & inside); cbv zeta.
  rewrite honest_truth_is_what_is_visible_and_what_is_not.
  pose proof (bounds_hold_the_honest_total_whoever_lies lying (map visibly observers) (map visibly observers)
                liars ltac:(now rewrite map_length) few ltac:(split; auto)) as visible.
  destruct (honest_totals_are_bounded unseen_items declared lying observers) as [added some_added].
  { eapply Forall_impl, inside; intros pair parts honest; apply parts, Forall_app in honest; tauto. }
  destruct (honest_totals_are_bounded taken_back declared lying observers) as [taken some_taken].
  { eapply Forall_impl, inside; intros pair parts honest; apply parts, Forall_app in honest; tauto. }
  assert (positive : forall value, 0 <= gain value /\ 0 <= loss value) by (unfold gain, loss; lia).
  destruct (positive (low declared)) as [_ least]; destruct (positive (high declared)) as [most _].
  pose proof (times_is_the_most _ _ _ least some_added few_added) as added_below.
  pose proof (times_is_the_most _ _ _ most some_added few_added) as added_above.
  pose proof (times_is_the_most _ _ _ least some_taken few_taken) as taken_below.
  pose proof (times_is_the_most _ _ _ most some_taken few_taken) as taken_above.
  unfold liars_interval, is_below, at_most, both in *; simpl; split.
  - destruct (times (additions missing) (loss (low declared))),
      (times (removals missing) (gain (high declared))); simpl; auto; lia.
  - destruct (times (additions missing) (gain (high declared))),
      (times (removals missing) (loss (low declared))); simpl; auto; lia.
Qed.

(** Who has said nothing may be left out of the table, and still be a liar, or honest and unseen. *)
Theorem the_silent_may_be_left_out (said : list Z) (silent liars : nat) (prior : Z) (declared : span)
  (missing : unseen) :
  liars_interval (repeat 0 silent ++ said) liars prior declared missing
  = liars_interval said liars prior declared missing.
Proof.
  unfold liars_interval; destruct (bounds_do_not_depend_on_the_silent said silent liars) as [-> ->]; auto.
Qed.

Definition silent (items : list Z) : observer := Observer [] [] items.
Definition known (said : Z) : observer := Observer [said] [] [].

Lemma honest_total_of_one_more (lying : list bool) (said : list Z) (value : Z) :
  honest_total (false :: lying) (value :: said) = value + honest_total lying said.
Proof. reflexivity. Qed.

Lemma known_say_what_they_said (said : list Z) :
  map visibly (map known said) = said /\ map truly (map known said) = said.
Proof.
  induction said as [|value said [IH IH_too]]; simpl; auto.
  unfold visibly, truly; simpl; split; f_equal; auto; lia.
Qed.

Lemma known_did_nothing_unseen (declared : span) (lying : list bool) (said : list Z) :
  honest_number unseen_items lying (map known said) = 0 /\
  honest_number taken_back lying (map known said) = 0 /\
  Forall (fun pair => fst pair = false ->
            Forall (within declared) (taken_back (snd pair) ++ unseen_items (snd pair)))
         (combine lying (map known said)).
Proof.
  unfold honest_number; revert said; induction lying as [|lies lying IH]; intros [|value said]; simpl; auto.
  destruct (IH said) as (-> & -> & inside); destruct lies; repeat split; auto; constructor; simpl; auto.
Qed.

(** One more honest observer, of whom nothing is here yet, has all that is unseen. *)
Theorem both_ends_are_reached_where_nothing_is_taken_back (said : list Z) (liars : nat) (prior more : Z)
  (declared : span) :
  low declared <= high declared -> 0 <= more ->
  let missing := Unseen (Some more) (Some 0) in
  let found := liars_interval said liars prior declared missing in
  let reached end_ :=
    exists lying items,
      let observers := silent items :: map known said in
      length lying = length observers /\ (number_lying lying <= liars)%nat /\
      honest_keep_to_caps declared missing lying observers /\
      map visibly observers = 0 :: said /\
      end_ = Some (prior + honest_total lying (map truly observers)) in
  reached (fst found) /\ reached (snd found).
Proof.
  intros order positive; cbv zeta.
  assert (only : forall value (lying : list bool), within declared value \/ value = 0 ->
    length lying = length said -> (number_lying lying <= liars)%nat ->
    exists items,
      let observers := silent items :: map known said in
      length (false :: lying) = length observers /\ (number_lying (false :: lying) <= liars)%nat /\
      honest_keep_to_caps declared (Unseen (Some more) (Some 0)) (false :: lying) observers /\
      map visibly observers = 0 :: said /\
      honest_total (false :: lying) (map truly observers) = more * value + honest_total lying said).
  { intros value lying allowed size few.
    destruct (known_say_what_they_said said) as [visible true_too].
    destruct (known_did_nothing_unseen declared lying said) as (none & none_too & inside).
    exists (if value =? 0 then [] else repeat value (Z.to_nat more)); cbv zeta.
    repeat split; auto.
    - simpl; now rewrite map_length, size.
    - unfold honest_number in *; simpl. rewrite none.
      destruct (value =? 0); [|rewrite count_of_repeated]; unfold count; simpl; lia.
    - unfold honest_number in *; simpl. rewrite none_too. unfold count; simpl; lia.
    - constructor; auto; intros _; simpl. destruct (Z.eqb_spec value 0); auto.
      apply repeated_is_within; tauto.
    - simpl; now rewrite visible.
    - simpl; rewrite true_too; unfold truly; simpl.
      destruct (Z.eqb_spec value 0) as [->|]; [simpl; lia | rewrite total_of_repeated; lia]. }
  destruct (both_bounds_are_reached said liars)
    as [(one & size_one & few_one & equal_one) (two & size_two & few_two & equal_two)].
  split.
  - destruct (only (- loss (low declared)) one) as (items & size & few & caps & visible & equal); auto;
      [unfold within, loss; lia|].
    exists (false :: one), items; repeat (split; [assumption|]).
    rewrite equal, equal_one; simpl; f_equal; lia.
  - destruct (only (gain (high declared)) two) as (items & size & few & caps & visible & equal); auto;
      [unfold within, gain; lia|].
    exists (false :: two), items; repeat (split; [assumption|]).
    rewrite equal, equal_two; simpl; f_equal; lia.
Qed.

(** Without liars: the visible total, widened by what the caps allow. *)
Theorem log_odds_are_within (one : observer) (prior : Z) (declared : span) (missing : unseen) :
  at_most (count (unseen_items one)) (additions missing) ->
  at_most (count (taken_back one)) (removals missing) ->
  Forall (within declared) (taken_back one ++ unseen_items one) ->
  let found := log_odds_interval (visibly one) prior declared missing in
  is_below (fst found) (prior + truly one) /\ at_most (prior + truly one) (snd found).
Proof.
  intros few_added few_taken inside.
  pose proof (log_odds_are_within_whoever_lies [false] [one] 0 prior declared missing eq_refl ltac:(auto))
    as holds.
  simpl in holds; rewrite Z.add_0_r in holds; apply holds.
  unfold honest_keep_to_caps, honest_number; simpl; rewrite !Z.add_0_r; repeat split; auto.
Qed.

Theorem log_odds_interval_is_the_total_and_the_caps (sum prior more gone : Z) (declared : span) :
  log_odds_interval sum prior declared (Unseen (Some more) (Some gone))
  = (Some (prior + sum + more * Z.min (low declared) 0 - gone * Z.max (high declared) 0),
     Some (prior + sum + more * Z.max (high declared) 0 - gone * Z.min (low declared) 0)).
Proof.
  unfold log_odds_interval, liars_interval, both, times; simpl.
  destruct (without_liars_the_bounds_are_the_total [sum]) as [-> ->]; simpl total.
  unfold gain, loss; replace (Z.max (- low declared) 0) with (- Z.min (low declared) 0) by lia.
  f_equal; f_equal; lia.
Qed.
