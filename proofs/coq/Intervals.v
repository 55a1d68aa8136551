(** What a count and a sum can be, whatever the observations are that have not arrived:
    convergence_jax/partition/answers/interval.py, [count_interval] and [sum_interval], with
    convergence_jax/partition/unseen.py, [Unseen]. All in ticks; [Span.units] divides by a power of two.

    Only the number of visible observations and their sum are known. The truth is made from the visible ones
    by taking at most [removals] away and adding at most [additions] others, all within the declared span.

    Proved: the ends hold every truth, and each is that of a truth, so that no narrower interval holds. Means
    are in MeanIntervals.v, rounding in OutwardRounding.v. *)
From Coq Require Import ZArith List Permutation Bool Lia.
From Convergence Require Import Liars.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** [interval.Span], in ticks. *)
Record span := Span { low : Z; high : Z }.

Definition width (declared : span) : Z := high declared - low declared.
Definition negated (declared : span) : span := Span (- high declared) (- low declared).

(** [unseen.Unseen]; None where nothing bounds them. *)
Record unseen := Unseen { additions : option Z; removals : option Z }.

(** [Span.check]: whether so many observations can have the sum. *)
Definition is_possible (declared : span) (n sum : Z) : bool :=
  (0 <=? n) && (n * low declared <=? sum) && (sum <=? n * high declared).

(** [interval._removable]. *)
Definition removable (n : Z) (missing : unseen) : Z :=
  match removals missing with None => n | Some most => Z.min n most end.

(** [count_interval]: both ends, None for infinity. *)
Definition least_count (n : Z) (missing : unseen) : Z := n - removable n missing.
Definition largest_count (n : Z) (missing : unseen) : option Z := option_map (Z.add n) (additions missing).

(** The least sum that is left when [taken] of the visible observations go. *)
Definition kept_sum (n sum : Z) (declared : span) (taken : Z) : Z :=
  Z.max (sum - taken * high declared) ((n - taken) * low declared).

(** [_least_sum]; None is no bound. *)
Definition least_sum (n sum : Z) (declared : span) (missing : unseen) : option Z :=
  let most := removable n missing in
  let crossing := if width declared =? 0 then 0 else (sum - n * low declared) / width declared in
  let at_ends := Z.min (kept_sum n sum declared 0) (kept_sum n sum declared most) in
  let beside := Z.min (kept_sum n sum declared (Z.min crossing most))
                      (kept_sum n sum declared (Z.min (crossing + 1) most)) in
  let kept := Z.min at_ends beside in
  if low declared <? 0 then option_map (fun more => kept + more * low declared) (additions missing)
  else Some kept.

(** The upper end of [sum_interval]: of the same feature with the other sign. *)
Definition greatest_sum (n sum : Z) (declared : span) (missing : unseen) : option Z :=
  option_map Z.opp (least_sum n (- sum) (negated declared) missing).

(** * What it means *)

Definition count (values : list Z) : Z := Z.of_nat (length values).

Definition within (declared : span) (value : Z) : Prop := low declared <= value <= high declared.

Definition at_most (number : Z) (bound : option Z) : Prop :=
  match bound with None => True | Some most => number <= most end.

(** That a bound, if there is one, is not above a value, or not below it. *)
Definition is_below (bound : option Z) (value : Z) : Prop :=
  match bound with None => True | Some least => least <= value end.

Definition some_not_negative (bound : option Z) : Prop :=
  match bound with None => True | Some most => 0 <= most end.

(** What [unseen] can be. *)
Definition is_unseen (missing : unseen) : Prop :=
  some_not_negative (additions missing) /\ some_not_negative (removals missing).

(** That [truth] may be all that there is, [visible] being here. *)
Definition may_be (declared : span) (missing : unseen) (visible truth : list Z) : Prop :=
  exists kept taken added,
    Permutation visible (kept ++ taken) /\ Permutation truth (kept ++ added) /\
    at_most (count taken) (removals missing) /\ at_most (count added) (additions missing) /\
    Forall (within declared) added.

(** What is known of the visible ones. *)
Definition shows (declared : span) (n sum : Z) (visible : list Z) : Prop :=
  Forall (within declared) visible /\ count visible = n /\ total visible = sum.

(** * Sums of values in a span *)

Lemma total_of_both (some others : list Z) : total (some ++ others) = total some + total others.
Proof. induction some; simpl; lia. Qed.

Lemma count_of_both (some others : list Z) : count (some ++ others) = count some + count others.
Proof. unfold count; rewrite app_length; lia. Qed.

Lemma count_of_permuted (some others : list Z) : Permutation some others -> count some = count others.
Proof. unfold count; intros same; now rewrite (Permutation_length same). Qed.

Lemma count_is_not_negative (values : list Z) : 0 <= count values.
Proof. unfold count; lia. Qed.

Lemma totals_are_within (declared : span) (values : list Z) :
  Forall (within declared) values ->
  count values * low declared <= total values <= count values * high declared.
Proof.
  unfold count, within; induction 1; simpl total; cbn [length]; [lia|]. rewrite Nat2Z.inj_succ; nia.
Qed.

Lemma some_values_have_the_sum (declared : span) (n : nat) (sum : Z) :
  low declared <= high declared -> Z.of_nat n * low declared <= sum <= Z.of_nat n * high declared ->
  exists values, Forall (within declared) values /\ count values = Z.of_nat n /\ total values = sum.
Proof.
  intros order; revert sum; induction n as [|n IH]; intros sum possible.
  - exists []; repeat constructor; simpl; lia.
  - rewrite Nat2Z.inj_succ in possible.
    set (value := Z.min (high declared) (sum - Z.of_nat n * low declared)).
    destruct (IH (sum - value)) as (values & inside & size & equal); [unfold value; nia|].
    exists (value :: values); repeat split.
    + constructor; auto; unfold within, value; nia.
    + unfold count in *; cbn [length]; lia.
    + simpl; lia.
Qed.

Lemma total_of_repeated (value : Z) (n : nat) : total (repeat value n) = Z.of_nat n * value.
Proof. induction n as [|n IH]; auto. cbn [repeat]; simpl total; rewrite IH; lia. Qed.

Lemma count_of_repeated (value : Z) (n : nat) : count (repeat value n) = Z.of_nat n.
Proof. unfold count; now rewrite repeat_length. Qed.

Lemma repeated_is_within (declared : span) (value : Z) (n : nat) :
  within declared value -> Forall (within declared) (repeat value n).
Proof. intros inside; induction n; simpl; constructor; auto. Qed.

(** So many of some visible observations, chosen at their largest, may be taken away. *)
Lemma the_largest_may_be_taken (declared : span) (n sum gone : Z) :
  low declared <= high declared -> n * low declared <= sum <= n * high declared -> 0 <= gone <= n ->
  exists left taken,
    Forall (within declared) (left ++ taken) /\ count left = n - gone /\ count taken = gone /\
    total left = kept_sum n sum declared gone /\ total (left ++ taken) = sum.
Proof.
  intros order possible range.
  destruct (some_values_have_the_sum declared (Z.to_nat (n - gone)) (kept_sum n sum declared gone))
    as (left & inside & size & equal); auto; [rewrite Z2Nat.id by lia; unfold kept_sum; nia|].
  destruct (some_values_have_the_sum declared (Z.to_nat gone) (sum - kept_sum n sum declared gone))
    as (taken & inside_too & size_too & equal_too); auto; [rewrite Z2Nat.id by lia; unfold kept_sum; nia|].
  exists left, taken; rewrite total_of_both, Forall_app; repeat split; auto; lia.
Qed.

(** * The truth *)

Lemma may_be_grows (declared : span) (missing more : unseen) (visible truth : list Z) :
  (forall number, at_most number (additions missing) -> at_most number (additions more)) ->
  (forall number, at_most number (removals missing) -> at_most number (removals more)) ->
  may_be declared missing visible truth -> may_be declared more visible truth.
Proof.
  intros additions_grow removals_grow (left & taken & added & ? & ? & few & few_too & ?).
  exists left, taken, added; repeat split; auto.
Qed.

Lemma taken_are_removable (missing : unseen) (n gone : Z) :
  gone <= n -> at_most gone (removals missing) -> gone <= removable n missing.
Proof. unfold removable, at_most; destruct (removals missing); lia. Qed.

Lemma removable_is_possible (missing : unseen) (n : Z) :
  0 <= n -> is_unseen missing ->
  0 <= removable n missing <= n /\ at_most (removable n missing) (removals missing).
Proof. unfold is_unseen, removable, at_most, some_not_negative; destruct (removals missing); lia. Qed.

Lemma none_is_at_most (bound : option Z) : some_not_negative bound -> at_most (count []) bound.
Proof. now destruct bound. Qed.

(** * Counts *)

Theorem counts_are_within (declared : span) (missing : unseen) (visible truth : list Z) :
  may_be declared missing visible truth ->
  least_count (count visible) missing <= count truth /\
  at_most (count truth) (largest_count (count visible) missing).
Proof.
  intros (left & taken & added & here & there & few & few_too & inside).
  rewrite (count_of_permuted _ _ here), (count_of_permuted _ _ there), !count_of_both.
  pose proof (count_is_not_negative left); pose proof (count_is_not_negative taken);
    pose proof (count_is_not_negative added).
  pose proof (taken_are_removable missing (count left + count taken) (count taken) ltac:(lia) few).
  unfold least_count, largest_count, at_most in *; split; [lia|].
  destruct (additions missing); simpl; auto; lia.
Qed.

Theorem least_count_is_reached (declared : span) (missing : unseen) (visible : list Z) :
  is_unseen missing ->
  exists truth, may_be declared missing visible truth /\ count truth = least_count (count visible) missing.
Proof.
  intros proper; pose proof (count_is_not_negative visible) as size.
  destruct (removable_is_possible missing _ size proper) as [range few].
  set (number := Z.to_nat (count visible - removable (count visible) missing)).
  assert (sizes : count (firstn number visible) = Z.of_nat number).
  { unfold count in *. rewrite firstn_length. lia. }
  assert (sum : count (firstn number visible) + count (skipn number visible) = count visible).
  { now rewrite <- count_of_both, firstn_skipn. }
  exists (firstn number visible); split; [|unfold least_count; lia].
  exists (firstn number visible), (skipn number visible), [].
  rewrite firstn_skipn, app_nil_r; repeat split; auto.
  - replace (count (skipn number visible)) with (removable (count visible) missing) by lia; auto.
  - apply none_is_at_most, proper.
Qed.

Theorem largest_count_is_reached (declared : span) (missing : unseen) (visible : list Z) (largest : Z) :
  is_unseen missing -> low declared <= high declared ->
  largest_count (count visible) missing = Some largest ->
  exists truth, may_be declared missing visible truth /\ count truth = largest.
Proof.
  intros [proper proper_too] order; unfold largest_count.
  destruct (additions missing) as [more|] eqn:bound; simpl; [|discriminate].
  intros equal; injection equal as <-.
  exists (visible ++ repeat (low declared) (Z.to_nat more)); simpl in proper; split.
  - exists visible, [], (repeat (low declared) (Z.to_nat more)); rewrite app_nil_r, bound; repeat split; auto.
    + simpl; rewrite count_of_repeated; lia.
    + apply repeated_is_within; unfold within; lia.
  - rewrite count_of_both, count_of_repeated; lia.
Qed.

(** * Sums *)

Lemma least_of_all_that_may_be_kept (declared : span) (n sum most gone : Z) :
  low declared <= high declared -> n * low declared <= sum <= n * high declared -> 0 <= gone <= most ->
  let crossing := if width declared =? 0 then 0 else (sum - n * low declared) / width declared in
  let at_ends := Z.min (kept_sum n sum declared 0) (kept_sum n sum declared most) in
  let beside := Z.min (kept_sum n sum declared (Z.min crossing most))
                      (kept_sum n sum declared (Z.min (crossing + 1) most)) in
  Z.min at_ends beside <= kept_sum n sum declared gone.
Proof.
  intros order possible range crossing at_ends beside.
  destruct (Z.eqb_spec (width declared) 0) as [none|some].
  - enough (at_ends <= kept_sum n sum declared gone) by lia; subst at_ends.
    assert (same : forall number, kept_sum n sum declared number = (n - number) * low declared).
    { intros number; unfold width, kept_sum in *.
      replace (high declared) with (low declared) in * by lia; lia. }
    rewrite !same; destruct (Z.le_gt_cases 0 (low declared)); nia.
  - assert (parts : crossing * width declared <= sum - n * low declared < (crossing + 1) * width declared).
    { unfold crossing, width in *.
      pose proof (Z.mul_div_le (sum - n * low declared) (high declared - low declared) ltac:(lia)).
      pose proof (Z.mul_succ_div_gt (sum - n * low declared) (high declared - low declared) ltac:(lia)).
      lia. }
    assert (0 <= crossing) by (apply Z.div_pos; unfold width in *; lia).
    subst at_ends beside; unfold width in *.
    clearbody crossing.
    destruct (Z.le_gt_cases gone crossing).
    + enough (Z.min (kept_sum n sum declared 0) (kept_sum n sum declared (Z.min crossing most))
              <= kept_sum n sum declared gone) by lia.
      set (end_ := Z.min crossing most) in *; assert (gone <= end_ <= crossing) by lia; clearbody end_.
      assert (kept_sum n sum declared end_ = sum - end_ * high declared) as -> by (unfold kept_sum; nia).
      assert (kept_sum n sum declared 0 = sum) as -> by (unfold kept_sum; lia).
      assert (sum - gone * high declared <= kept_sum n sum declared gone) by (unfold kept_sum; lia).
      destruct (Z.le_gt_cases 0 (high declared)); nia.
    + enough (Z.min (kept_sum n sum declared most) (kept_sum n sum declared (Z.min (crossing + 1) most))
              <= kept_sum n sum declared gone) by lia.
      replace (Z.min (crossing + 1) most) with (crossing + 1) by lia.
      assert (kept_sum n sum declared (crossing + 1) = (n - (crossing + 1)) * low declared) as ->
        by (unfold kept_sum; nia).
      assert (kept_sum n sum declared most = (n - most) * low declared) as -> by (unfold kept_sum; nia).
      assert ((n - gone) * low declared <= kept_sum n sum declared gone) by (unfold kept_sum; lia).
      destruct (Z.le_gt_cases 0 (low declared)); nia.
Qed.

Theorem no_truth_has_a_smaller_sum (declared : span) (missing : unseen) (visible truth : list Z) (n sum : Z) :
  low declared <= high declared -> is_unseen missing -> shows declared n sum visible ->
  may_be declared missing visible truth -> is_below (least_sum n sum declared missing) (total truth).
Proof.
  intros order proper (inside & size & equal).
  intros (left & taken & added & here & there & few & few_too & inside_too).
  pose proof (totals_are_within declared visible inside) as possible.
  apply (Permutation_Forall here), Forall_app in inside.
  destruct inside as [inside_left inside_taken].
  apply totals_are_within in inside_left, inside_taken, inside_too.
  rewrite (count_of_permuted _ _ here), (total_of_permuted _ _ here), count_of_both, total_of_both in *.
  rewrite (total_of_permuted _ _ there), total_of_both.
  pose proof (count_is_not_negative left); pose proof (count_is_not_negative taken);
    pose proof (count_is_not_negative added).
  pose proof (taken_are_removable missing n (count taken) ltac:(lia) few) as range.
  pose proof (least_of_all_that_may_be_kept declared n sum (removable n missing) (count taken) order
                ltac:(nia) ltac:(lia)) as least.
  assert (kept_sum n sum declared (count taken) <= total left) by (unfold kept_sum; nia).
  unfold least_sum, is_below, at_most in *; cbv zeta in *.
  destruct (Z.ltb_spec (low declared) 0).
  - destruct (additions missing) as [more|]; simpl; auto. nia.
  - nia.
Qed.

Lemma the_least_of_four (f : Z -> Z) (one two three four : Z) :
  exists which, (which = one \/ which = two \/ which = three \/ which = four) /\
                Z.min (Z.min (f one) (f two)) (Z.min (f three) (f four)) = f which.
Proof.
  destruct (Z.min_spec (Z.min (f one) (f two)) (Z.min (f three) (f four))) as [[_ ->]|[_ ->]].
  - destruct (Z.min_spec (f one) (f two)) as [[_ ->]|[_ ->]]; eauto.
  - destruct (Z.min_spec (f three) (f four)) as [[_ ->]|[_ ->]]; eauto 6.
Qed.

Theorem least_sum_is_reached (declared : span) (missing : unseen) (n sum least : Z) :
  low declared <= high declared -> is_unseen missing -> is_possible declared n sum = true ->
  least_sum n sum declared missing = Some least ->
  exists visible truth,
    shows declared n sum visible /\ may_be declared missing visible truth /\ total truth = least.
Proof.
  unfold is_possible; rewrite !andb_true_iff, !Z.leb_le; intros order proper [[size low_enough] high_enough].
  destruct (removable_is_possible missing n size proper) as [range few].
  unfold least_sum; cbv zeta.
  set (crossing := if _ =? _ then _ else _).
  set (most := removable n missing) in *.
  assert (0 <= crossing).
  { unfold crossing; destruct (Z.eqb_spec (width declared) 0); [lia|].
    apply Z.div_pos; unfold width in *; lia. }
  assert (exists gone, 0 <= gone <= most /\
            Z.min (Z.min (kept_sum n sum declared 0) (kept_sum n sum declared most))
                  (Z.min (kept_sum n sum declared (Z.min crossing most))
                         (kept_sum n sum declared (Z.min (crossing + 1) most)))
            = kept_sum n sum declared gone)
    as (gone & gone_range & ->).
  { destruct (the_least_of_four (kept_sum n sum declared) 0 most (Z.min crossing most)
                (Z.min (crossing + 1) most)) as (gone & which & ->).
    exists gone; split; auto; lia. }
  destruct (the_largest_may_be_taken declared n sum gone)
    as (left & taken & inside & size_left & size_taken & sum_left & all); auto; [lia|].
  assert (at_most (count taken) (removals missing)).
  { unfold at_most in *; destruct (removals missing); auto; lia. }
  intros result.
  assert (exists more, 0 <= more /\ at_most more (additions missing) /\
                       least = kept_sum n sum declared gone + more * low declared)
    as (more & more_range & more_few & ->).
  { destruct proper as [proper _]; destruct (Z.ltb_spec (low declared) 0).
    - destruct (additions missing) as [more|]; simpl in *; [|discriminate].
      injection result as <-. exists more; simpl; lia.
    - injection result as <-. exists 0; repeat split; try lia.
      unfold at_most, some_not_negative in *; destruct (additions missing); auto. }
  exists (left ++ taken), (left ++ repeat (low declared) (Z.to_nat more)); repeat split; auto.
  - rewrite count_of_both; lia.
  - exists left, taken, (repeat (low declared) (Z.to_nat more)); repeat split; auto.
    + rewrite count_of_repeated, Z2Nat.id; auto.
    + apply repeated_is_within; unfold within; lia.
  - rewrite total_of_both, total_of_repeated, Z2Nat.id, sum_left; lia.
Qed.

(** * The other end, by the other sign *)

Lemma total_of_opposites (values : list Z) : total (map Z.opp values) = - total values.
Proof. induction values; simpl; lia. Qed.

Lemma count_of_opposites (values : list Z) : count (map Z.opp values) = count values.
Proof. unfold count; now rewrite map_length. Qed.

Lemma opposites_are_within (declared : span) (values : list Z) :
  Forall (within declared) values -> Forall (within (negated declared)) (map Z.opp values).
Proof. intros inside; rewrite Forall_map; eapply Forall_impl, inside; unfold within; simpl; lia. Qed.

Lemma may_be_of_opposites (declared : span) (missing : unseen) (visible truth : list Z) :
  may_be declared missing visible truth ->
  may_be (negated declared) missing (map Z.opp visible) (map Z.opp truth).
Proof.
  intros (left & taken & added & here & there & few & few_too & inside).
  exists (map Z.opp left), (map Z.opp taken), (map Z.opp added).
  rewrite <- !map_app, !count_of_opposites; repeat split; auto using Permutation_map, opposites_are_within.
Qed.

Lemma shows_of_opposites (declared : span) (n sum : Z) (visible : list Z) :
  shows declared n sum visible -> shows (negated declared) n (- sum) (map Z.opp visible).
Proof.
  unfold shows; rewrite count_of_opposites, total_of_opposites; intros (? & ? & ->).
  auto using opposites_are_within.
Qed.

Lemma negated_twice (declared : span) : negated (negated declared) = declared.
Proof. destruct declared; unfold negated; simpl; f_equal; lia. Qed.

Theorem no_truth_has_a_larger_sum (declared : span) (missing : unseen) (visible truth : list Z) (n sum : Z) :
  low declared <= high declared -> is_unseen missing -> shows declared n sum visible ->
  may_be declared missing visible truth -> at_most (total truth) (greatest_sum n sum declared missing).
Proof.
  intros order proper here there.
  pose proof (no_truth_has_a_smaller_sum (negated declared) missing _ _ n (- sum) ltac:(simpl; lia) proper
                (shows_of_opposites _ _ _ _ here) (may_be_of_opposites _ _ _ _ there)) as least.
  rewrite total_of_opposites in least; unfold greatest_sum, at_most, is_below in *.
  destruct (least_sum _ _ _ _); simpl; auto; lia.
Qed.

Theorem greatest_sum_is_reached (declared : span) (missing : unseen) (n sum greatest : Z) :
  low declared <= high declared -> is_unseen missing -> is_possible declared n sum = true ->
  greatest_sum n sum declared missing = Some greatest ->
  exists visible truth,
    shows declared n sum visible /\ may_be declared missing visible truth /\ total truth = greatest.
Proof.
  intros order proper possible; unfold greatest_sum.
  destruct (least_sum n (- sum) (negated declared) missing) as [least|] eqn:equal; [|discriminate].
  intros result; injection result as <-.
  destruct (least_sum_is_reached (negated declared) missing n (- sum) least)
    as (visible & truth & here & there & <-); auto; [simpl; lia | |].
  - unfold is_possible in *; rewrite !andb_true_iff, !Z.leb_le in *; simpl; lia.
  - exists (map Z.opp visible), (map Z.opp truth).
    rewrite total_of_opposites, <- (negated_twice declared); repeat split; auto using may_be_of_opposites.
    all: destruct (shows_of_opposites _ _ _ _ here) as (? & ? & ?); auto; lia.
Qed.
