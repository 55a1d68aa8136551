(** What a mean can be, whatever the observations are that have not arrived:
    convergence_jax/partition/answers/interval.py, [mean_ends], before any rounding.

    Proved: the ends hold the mean of every truth that has one, and each is the mean of a truth, so that no
    narrower interval holds. Where nothing bounds what was added the ends are those of the span. *)
From Coq Require Import ZArith QArith List Permutation Bool Lia.
From Convergence Require Import Liars Intervals.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** * What the code computes *)

(** So many may be taken away; one is left for there to be a mean, unless another may be added. *)
Definition mean_removals (n : Z) (missing : unseen) : Z :=
  let most := match additions missing with
              | Some more => if more =? 0 then Z.max 0 (n - 1) else n
              | None => Z.max 0 (n - 1)
              end in
  Z.min (removable n missing) most.

(** [mean_ends]. Where the code takes the larger of two fractions, one of which is an integer, this takes the
    larger of two numerators over the same denominator. *)
Definition mean_ends (n sum : Z) (declared : span) (missing : unseen) : Q * Q :=
  let everything := (inject_Z (low declared), inject_Z (high declared)) in
  match additions missing with
  | None => everything
  | Some more =>
      let gone := mean_removals n missing in
      let number := n - gone + more in
      if number =? 0 then everything
      else
        let lower := sum - gone * high declared + more * low declared in
        let upper := sum - gone * low declared + more * high declared in
        (Z.max lower (number * low declared) # Z.to_pos number,
         Z.min upper (number * high declared) # Z.to_pos number)
  end.

(** * What it means *)

Definition mean (values : list Z) : Q := total values # Z.to_pos (count values).

(** * Proofs *)

Lemma mean_of_opposites (values : list Z) : mean (map Z.opp values) = (- mean values)%Q.
Proof. unfold mean; now rewrite total_of_opposites, count_of_opposites. Qed.

Lemma ends_of_opposites (n sum : Z) (declared : span) (missing : unseen) :
  fst (mean_ends n (- sum) (negated declared) missing) = (- snd (mean_ends n sum declared missing))%Q.
Proof.
  unfold mean_ends; cbv zeta; destruct (additions missing) as [more|]; simpl; auto.
  destruct (_ =? 0); simpl; auto. unfold Qopp; simpl; f_equal; lia.
Qed.

Lemma mean_removals_are_possible (n more : Z) (missing : unseen) :
  0 <= n -> is_unseen missing -> additions missing = Some more ->
  0 <= mean_removals n missing <= n /\ at_most (mean_removals n missing) (removals missing) /\
  0 <= n - mean_removals n missing + more.
Proof.
  intros size proper bound; pose proof (removable_is_possible missing n size proper) as [range few].
  destruct proper as [proper _]; unfold mean_removals; rewrite bound in *; simpl in proper.
  unfold at_most in *; destruct (Z.eqb_spec more 0), (removals missing); lia.
Qed.

Lemma the_largest_change_is_the_least (n sum low high gone most added more left : Z) :
  low <= high -> n * low <= sum <= n * high -> 0 <= gone <= most -> most <= n -> 0 <= added <= more ->
  sum - gone * high + added * low <= left -> (n - gone + added) * low <= left ->
  Z.max (sum - most * high + more * low) ((n - most + more) * low) * (n - gone + added)
  <= left * (n - most + more).
Proof.
  intros order possible gone_range most_range added_range left_sum left_low.
  destruct (Z.max_spec (sum - most * high + more * low) ((n - most + more) * low))
    as [[_ ->]|[above ->]]; [nia|].
  set (excess := sum - n * low) in *; set (width := high - low) in *.
  assert (0 <= excess <= n * width) by (unfold excess, width; nia).
  assert (0 <= width) by (unfold width; lia).
  assert (0 <= excess - most * width) by (unfold excess, width; nia).
  assert (excess - gone * width <= left - (n - gone + added) * low) by (unfold excess, width; nia).
  enough ((excess - most * width) * (n - gone + added)
          <= (left - (n - gone + added) * low) * (n - most + more)) by (unfold excess, width in *; nia).
  clearbody excess width.
  assert (0 <= (most - gone) * width) by nia.
  transitivity ((excess - gone * width) * (n - most + more)); [|nia].
  assert ((excess - most * width) * added <= (excess - gone * width) * more) by nia.
  assert (0 <= (most - gone) * (n * width - excess)) by nia.
  lia.
Qed.

Theorem no_truth_has_a_smaller_mean (declared : span) (missing : unseen) (visible truth : list Z)
  (n sum : Z) :
  low declared <= high declared -> is_unseen missing -> shows declared n sum visible ->
  may_be declared missing visible truth -> 0 < count truth ->
  (fst (mean_ends n sum declared missing) <= mean truth)%Q.
Proof.
  intros order proper (inside & size & equal).
  intros (left & taken & added & here & there & few & few_too & inside_too) some.
  pose proof (totals_are_within declared visible inside) as possible; rewrite size, equal in possible.
  assert (all_inside : Forall (within declared) truth).
  { apply (Permutation_Forall here), Forall_app in inside.
    apply (Permutation_Forall (Permutation_sym there)), Forall_app; tauto. }
  apply totals_are_within in all_inside.
  assert (trivial : (inject_Z (low declared) <= mean truth)%Q).
  { unfold Qle, mean, inject_Z; simpl. rewrite Z2Pos.id; lia. }
  unfold mean_ends; cbv zeta; destruct (additions missing) as [more|] eqn:bound; auto.
  pose proof (count_is_not_negative visible).
  destruct (mean_removals_are_possible n more missing ltac:(lia) proper bound) as (range & _ & number).
  destruct (Z.eqb_spec (n - mean_removals n missing + more) 0); auto.
  unfold Qle, mean; simpl; rewrite !Z2Pos.id by lia.
  apply (Permutation_Forall here), Forall_app in inside; destruct inside as [_ inside_taken].
  apply totals_are_within in inside_taken, inside_too.
  rewrite (count_of_permuted _ _ there), (total_of_permuted _ _ there), count_of_both, total_of_both in *.
  rewrite (count_of_permuted _ _ here), (total_of_permuted _ _ here), count_of_both, total_of_both in *.
  pose proof (count_is_not_negative left); pose proof (count_is_not_negative taken);
    pose proof (count_is_not_negative added).
  pose proof (taken_are_removable missing n (count taken) ltac:(lia) few).
  assert (count taken <= mean_removals n missing).
  { unfold mean_removals; rewrite bound; unfold at_most in few_too; destruct (Z.eqb_spec more 0); lia. }
  replace (count left + count added) with (n - count taken + count added) in * by lia.
  simpl in few_too; apply the_largest_change_is_the_least; try lia; nia.
Qed.

Theorem least_mean_is_reached (declared : span) (missing : unseen) (n sum more : Z) :
  low declared <= high declared -> is_unseen missing -> is_possible declared n sum = true ->
  additions missing = Some more -> 0 < n + more ->
  exists visible truth,
    shows declared n sum visible /\ may_be declared missing visible truth /\ 0 < count truth /\
    (mean truth == fst (mean_ends n sum declared missing))%Q.
Proof.
  unfold is_possible; rewrite !andb_true_iff, !Z.leb_le; intros order proper [[size low_enough] high_enough].
  intros bound some.
  destruct (mean_removals_are_possible n more missing size proper bound) as (range & few & _).
  destruct (the_largest_may_be_taken declared n sum (mean_removals n missing))
    as (left & taken & inside & size_left & size_taken & sum_left & all); auto.
  assert (0 <= more) by (destruct proper as [proper _]; rewrite bound in proper; auto).
  assert (number : 0 < n - mean_removals n missing + more).
  { unfold mean_removals in *; rewrite bound in *; destruct (Z.eqb_spec more 0); lia. }
  exists (left ++ taken), (left ++ repeat (low declared) (Z.to_nat more)).
  assert (sizes : count (left ++ repeat (low declared) (Z.to_nat more)) = n - mean_removals n missing + more).
  { rewrite count_of_both, count_of_repeated, Z2Nat.id; lia. }
  repeat split; auto.
  - rewrite count_of_both; lia.
  - exists left, taken, (repeat (low declared) (Z.to_nat more)); repeat split; auto.
    + now rewrite size_taken.
    + rewrite bound, count_of_repeated; simpl; lia.
    + apply repeated_is_within; unfold within; lia.
  - rewrite sizes; lia.
  - unfold mean_ends; rewrite bound; cbv zeta.
    destruct (Z.eqb_spec (n - mean_removals n missing + more) 0); [lia|].
    unfold mean; rewrite sizes, total_of_both, total_of_repeated, Z2Nat.id, sum_left by lia.
    unfold Qeq, kept_sum; simpl; rewrite !Z2Pos.id by lia. f_equal; lia.
Qed.

Theorem no_truth_has_a_larger_mean (declared : span) (missing : unseen) (visible truth : list Z)
  (n sum : Z) :
  low declared <= high declared -> is_unseen missing -> shows declared n sum visible ->
  may_be declared missing visible truth -> 0 < count truth ->
  (mean truth <= snd (mean_ends n sum declared missing))%Q.
Proof.
  intros order proper here there some.
  pose proof (no_truth_has_a_smaller_mean (negated declared) missing _ (map Z.opp truth) n (- sum)
                ltac:(simpl; lia) proper (shows_of_opposites _ _ _ _ here) (may_be_of_opposites _ _ _ _ there)
                ltac:(now rewrite count_of_opposites)) as least.
  rewrite ends_of_opposites, mean_of_opposites in least.
  apply Qopp_le_compat in least; now rewrite !Qopp_involutive in least.
Qed.

Theorem largest_mean_is_reached (declared : span) (missing : unseen) (n sum more : Z) :
  low declared <= high declared -> is_unseen missing -> is_possible declared n sum = true ->
  additions missing = Some more -> 0 < n + more ->
  exists visible truth,
    shows declared n sum visible /\ may_be declared missing visible truth /\ 0 < count truth /\
    (mean truth == snd (mean_ends n sum declared missing))%Q.
Proof.
  intros order proper possible bound some.
  destruct (least_mean_is_reached (negated declared) missing n (- sum) more)
    as (visible & truth & here & there & some_too & equal); auto; [simpl; lia | |].
  - unfold is_possible in *; rewrite !andb_true_iff, !Z.leb_le in *; simpl; lia.
  - exists (map Z.opp visible), (map Z.opp truth).
    rewrite ends_of_opposites in equal.
    rewrite mean_of_opposites, count_of_opposites, equal, Qopp_involutive, <- (negated_twice declared).
    repeat split; auto using may_be_of_opposites; try reflexivity.
    all: destruct (shows_of_opposites _ _ _ _ here) as (? & ? & ?); auto; lia.
Qed.
