(** Plans: any way of merging and removing observations.

    Models the verbs [merge] and [remove] of convergence_jax.statistics.law over any commutative group of
    states, and convergence_jax.statistics.faults.Faults with [int64] counters that wrap around.

    Proves: the state of a plan is what it merged less what it removed, so that two plans with the same net
    observations have the same state, counters included, whatever wrapped around on the way. *)
From Coq Require Import ZArith List Permutation Lia.
Import ListNotations.

(** A commutative group on the elements that [member] admits, with equality as equality of bits. *)
Record Group := {
  carrier : Type;
  member : carrier -> Prop;
  empty : carrier;
  merge : carrier -> carrier -> carrier;
  remove : carrier -> carrier -> carrier;
  empty_member : member empty;
  merge_member : forall a b, member a -> member b -> member (merge a b);
  remove_member : forall a b, member a -> member b -> member (remove a b);
  merge_comm : forall a b, member a -> member b -> merge a b = merge b a;
  merge_assoc : forall a b c, member a -> member b -> member c ->
    merge a (merge b c) = merge (merge a b) c;
  merge_empty : forall a, member a -> merge empty a = a;
  remove_merge : forall a b, member a -> member b -> remove (merge a b) b = a;
  merge_remove : forall a b, member a -> member b -> merge (remove a b) b = a;
}.

(** Expressions over observations: any tree, any sharding, any removals. *)
Inductive plan (observation : Type) :=
  | Empty
  | Observe (x : observation)
  | Merge (p q : plan observation)
  | Remove (p q : plan observation).
Arguments Empty {observation}.
Arguments Observe {observation}.
Arguments Merge {observation}.
Arguments Remove {observation}.

(** What a plan merges and what it removes; removing a removal merges. *)
Fixpoint merged {O} (p : plan O) : list O :=
  match p with
  | Empty => []
  | Observe x => [x]
  | Merge p q => merged p ++ merged q
  | Remove p q => merged p ++ removed q
  end
with removed {O} (p : plan O) : list O :=
  match p with
  | Empty => []
  | Observe _ => []
  | Merge p q => removed p ++ removed q
  | Remove p q => removed p ++ merged q
  end.

(** The state of a plan. *)
Section State.
Variable G : Group.
Context {O : Type}.
Variable lift : O -> carrier G.
Hypothesis lift_member : forall x, member G (lift x).

Fixpoint run (p : plan O) : carrier G :=
  match p with
  | Empty => empty G
  | Observe x => lift x
  | Merge p q => merge G (run p) (run q)
  | Remove p q => remove G (run p) (run q)
  end.

(** Observations merged one after the other: what every plan is compared with. *)
Definition collect (xs : list O) : carrier G := fold_right (fun x s => merge G (lift x) s) (empty G) xs.

Hint Resolve lift_member empty_member merge_member remove_member : membership.

Lemma run_member : forall p, member G (run p).
Proof using lift_member. induction p; cbn [run]; auto with membership. Qed.

Lemma collect_member : forall xs, member G (collect xs).
Proof using lift_member. induction xs; cbn [collect fold_right]; auto with membership. Qed.

Hint Resolve run_member collect_member : membership.
Ltac held := auto 8 with membership.

Lemma merge_empty_right : forall a, member G a -> merge G a (empty G) = a.
Proof using Type. intros a Ha. rewrite merge_comm by held. apply merge_empty, Ha. Qed.

Lemma cancel : forall a b c, member G a -> member G b -> member G c ->
  merge G a c = merge G b c -> a = b.
Proof using Type.
  intros a b c Ha Hb Hc E.
  rewrite <- (remove_merge G a c), <- (remove_merge G b c), E by assumption. reflexivity.
Qed.

Lemma exchange : forall a b c d, member G a -> member G b -> member G c -> member G d ->
  merge G (merge G a b) (merge G c d) = merge G (merge G a c) (merge G b d).
Proof using Type.
  intros a b c d Ha Hb Hc Hd.
  rewrite <- !(merge_assoc G) by held. f_equal.
  rewrite !(merge_assoc G) by held. f_equal. apply merge_comm; assumption.
Qed.

Lemma collect_cons : forall x xs, collect (x :: xs) = merge G (lift x) (collect xs).
Proof using Type. reflexivity. Qed.

Lemma collect_app : forall xs ys, collect (xs ++ ys) = merge G (collect xs) (collect ys).
Proof using lift_member.
  induction xs as [|x xs IH]; intros ys; cbn [app]; rewrite ?collect_cons.
  - symmetry. apply merge_empty. held.
  - rewrite IH. apply merge_assoc; held.
Qed.

Theorem order_does_not_matter : forall xs ys, Permutation xs ys -> collect xs = collect ys.
Proof using lift_member.
  induction 1 as [| x xs ys _ IH | x y xs | xs ys zs _ IHa _ IHb]; rewrite ?collect_cons.
  - reflexivity.
  - rewrite IH. reflexivity.
  - rewrite !(merge_assoc G) by held. f_equal. apply merge_comm; held.
  - congruence.
Qed.

Lemma run_balance : forall p, merge G (run p) (collect (removed p)) = collect (merged p).
Proof using lift_member.
  induction p as [| x | p IHp q IHq | p IHp q IHq]; cbn [run merged removed].
  - apply merge_empty. held.
  - reflexivity.
  - rewrite !collect_app, <- IHp, <- IHq. apply exchange; held.
  - rewrite !collect_app, <- IHp, <- IHq.
    rewrite (merge_comm G (collect (removed p))), <- (merge_assoc G (run q)),
      (merge_assoc G _ (run q)) by held.
    rewrite merge_remove, (merge_comm G (collect (removed q))) by held.
    apply merge_assoc; held.
Qed.

(** Whatever the plan, its state is what it merged less what it removed. *)
Theorem a_plan_is_merged_less_removed : forall p,
  run p = remove G (collect (merged p)) (collect (removed p)).
Proof using lift_member. intros p. rewrite <- run_balance. symmetry. apply remove_merge; held. Qed.

(** Two plans with the same net observations have the same state. *)
Theorem plans_with_equal_net_observations_agree : forall p q,
  Permutation (merged p ++ removed q) (merged q ++ removed p) -> run p = run q.
Proof using lift_member.
  intros p q H. apply order_does_not_matter in H. rewrite !collect_app, <- !run_balance in H.
  rewrite <- !(merge_assoc G), (merge_comm G (collect (removed q))) in H by held.
  eapply cancel; [| | | exact H]; held.
Qed.

(** What is left when everything else was taken off again, in any order. *)
Theorem what_was_removed_leaves_no_trace : forall p kept common owed,
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  run p = remove G (collect kept) (collect owed).
Proof using lift_member.
  intros p kept common owed Hm Hr. apply order_does_not_matter in Hm, Hr.
  rewrite collect_app in Hm, Hr. apply (cancel _ _ (merge G (collect owed) (collect common))); [held..|].
  transitivity (merge G (collect kept) (collect common)).
  - rewrite <- Hr, run_balance. exact Hm.
  - rewrite (merge_assoc G), merge_remove by held. reflexivity.
Qed.

Corollary a_sliding_window_is_its_content : forall p kept,
  Permutation (merged p) (kept ++ removed p) -> run p = collect kept.
Proof using lift_member.
  intros p kept H.
  rewrite (what_was_removed_leaves_no_trace p kept (removed p) []) by (auto; apply Permutation_refl).
  cbn [collect fold_right]. rewrite <- (merge_empty_right (collect kept)) at 1 by held.
  apply remove_merge; held.
Qed.

Corollary any_tree_agrees_with_any_order : forall p xs,
  removed p = [] -> Permutation (merged p) xs -> run p = collect xs.
Proof using lift_member.
  intros p xs Hr Hm. apply a_sliding_window_is_its_content. rewrite Hr, app_nil_r. exact Hm.
Qed.

Corollary removing_undoes_merging : forall p q, run (Remove (Merge p q) q) = run p.
Proof using lift_member. intros. cbn [run]. apply remove_merge; held. Qed.

(** Shards, each summed by a plan of its own, then merged by any plan over the shards. *)
Fixpoint gather (p : plan (plan O)) : plan O :=
  match p with
  | Empty => Empty
  | Observe shard => shard
  | Merge p q => Merge (gather p) (gather q)
  | Remove p q => Remove (gather p) (gather q)
  end.

Corollary sharding_leaves_no_trace : forall p q,
  Permutation (merged (gather p) ++ removed (gather q)) (merged (gather q) ++ removed (gather p)) ->
  run (gather p) = run (gather q).
Proof using lift_member. intros. apply plans_with_equal_net_observations_agree; assumption. Qed.
End State.

(** ** What a plan sums, where states stand for integers *)

Fixpoint net {O} (f : O -> Z) (p : plan O) : Z :=
  match p with
  | Empty => 0
  | Observe x => f x
  | Merge p q => net f p + net f q
  | Remove p q => net f p - net f q
  end.

Definition sum_of {O} (f : O -> Z) (xs : list O) : Z := fold_right (fun x s => f x + s)%Z 0%Z xs.

Lemma sum_of_cons : forall O (f : O -> Z) x xs, sum_of f (x :: xs) = (f x + sum_of f xs)%Z.
Proof. reflexivity. Qed.

Lemma sum_of_app : forall O (f : O -> Z) xs ys, sum_of f (xs ++ ys) = (sum_of f xs + sum_of f ys)%Z.
Proof. induction xs; intros; cbn [app]; rewrite ?sum_of_cons, ?IHxs; [reflexivity | lia]. Qed.

Lemma sum_of_permutation : forall O (f : O -> Z) xs ys, Permutation xs ys -> sum_of f xs = sum_of f ys.
Proof. induction 1; rewrite ?sum_of_cons in *; lia. Qed.

Theorem net_is_merged_less_removed : forall O (f : O -> Z) p,
  net f p = (sum_of f (merged p) - sum_of f (removed p))%Z.
Proof.
  induction p; cbn [net merged removed]; rewrite ?sum_of_app; [reflexivity | | lia..].
  cbn [sum_of fold_right]. lia.
Qed.

Lemma net_of_kept_and_owed : forall O (f : O -> Z) p kept common owed,
  Permutation (merged p) (kept ++ common) -> Permutation (removed p) (owed ++ common) ->
  net f p = (sum_of f kept - sum_of f owed)%Z.
Proof.
  intros O f p kept common owed Hm Hr. rewrite net_is_merged_less_removed.
  rewrite (sum_of_permutation _ _ _ _ Hm), (sum_of_permutation _ _ _ _ Hr), !sum_of_app. lia.
Qed.

Lemma sum_of_bound : forall O (f : O -> Z) bound xs, (forall x, In x xs -> Z.abs (f x) <= bound)%Z ->
  (Z.abs (sum_of f xs) <= Z.of_nat (length xs) * bound)%Z.
Proof.
  induction xs as [|x xs IH]; intros H; [cbn; lia|].
  change (sum_of f (x :: xs)) with (f x + sum_of f xs)%Z. cbn [length].
  pose proof (H x (or_introl eq_refl)). specialize (IH (fun y Hy => H y (or_intror Hy))). nia.
Qed.

(** A state that stands for an integer, in a group where the integers wrap around as they please. *)
Theorem a_plan_stands_for_its_net_integer :
  forall (G : Group) (of_integer : Z -> carrier G) O (valid : O -> Prop) lift f,
  of_integer 0%Z = empty G ->
  (forall v w, merge G (of_integer v) (of_integer w) = of_integer (v + w)%Z) ->
  (forall v w, remove G (of_integer v) (of_integer w) = of_integer (v - w)%Z) ->
  (forall x : O, valid x -> lift x = of_integer (f x)) ->
  forall p, Forall valid (merged p) -> Forall valid (removed p) -> run G lift p = of_integer (net f p).
Proof.
  intros G of_integer O valid lift f H0 Hm Hr Hl p.
  induction p as [| x | p IHp q IHq | p IHp q IHq]; cbn [run net merged removed]; intros Vm Vr;
    rewrite ?Forall_app in Vm, Vr.
  - symmetry. exact H0.
  - apply Hl. inversion Vm. assumption.
  - rewrite IHp, IHq by tauto. apply Hm.
  - rewrite IHp, IHq by tauto. apply Hr.
Qed.

(** ** Groups made of groups, and counters *)

Definition product (G H : Group) : Group.
Proof.
  refine {|
    carrier := carrier G * carrier H;
    member := fun s => member G (fst s) /\ member H (snd s);
    empty := (empty G, empty H);
    merge := fun a b => (merge G (fst a) (fst b), merge H (snd a) (snd b));
    remove := fun a b => (remove G (fst a) (fst b), remove H (snd a) (snd b));
  |}; intros; cbn [fst snd] in *; intuition auto using empty_member, merge_member, remove_member;
    f_equal; auto using merge_comm, merge_assoc;
    destruct a; cbn [fst snd] in *;
    rewrite ?merge_empty, ?remove_merge, ?merge_remove by assumption; reflexivity.
Defined.

Lemma run_product : forall G H O (f : O -> carrier G) (g : O -> carrier H) p,
  run (product G H) (fun x => (f x, g x)) p = (run G f p, run H g p).
Proof. induction p; cbn [run] in *; rewrite ?IHp1, ?IHp2; reflexivity. Qed.

(** [int64] as the hardware adds it: two's complement. *)
Definition wrap64 (z : Z) : Z := ((z + 2 ^ 63) mod 2 ^ 64 - 2 ^ 63)%Z.

Lemma wrap64_range : forall z, (- 2 ^ 63 <= wrap64 z < 2 ^ 63)%Z.
Proof. intros. unfold wrap64. pose proof (Z.mod_pos_bound (z + 2 ^ 63) (2 ^ 64) eq_refl). lia. Qed.

Lemma wrap64_small : forall z, (- 2 ^ 63 <= z < 2 ^ 63)%Z -> wrap64 z = z.
Proof. intros. unfold wrap64. rewrite Z.mod_small; lia. Qed.

Lemma wrap64_cong : forall z k, wrap64 (z + k * 2 ^ 64)%Z = wrap64 z.
Proof.
  intros. unfold wrap64. rewrite <- (Z.mod_add (z + 2 ^ 63) k) by discriminate. do 2 f_equal. ring.
Qed.

Lemma wrap64_congruent : forall z, exists k, wrap64 z = (z + k * 2 ^ 64)%Z.
Proof.
  intros. exists (- ((z + 2 ^ 63) / 2 ^ 64))%Z. unfold wrap64.
  pose proof (Z.div_mod (z + 2 ^ 63) (2 ^ 64)). lia.
Qed.

Lemma wrap64_add : forall v w, wrap64 (wrap64 v + wrap64 w) = wrap64 (v + w).
Proof.
  intros. destruct (wrap64_congruent v) as [i ->], (wrap64_congruent w) as [j ->].
  rewrite <- (wrap64_cong (v + w) (i + j)). f_equal. ring.
Qed.

Lemma wrap64_sub : forall v w, wrap64 (wrap64 v - wrap64 w) = wrap64 (v - w).
Proof.
  intros. destruct (wrap64_congruent v) as [i ->], (wrap64_congruent w) as [j ->].
  rewrite <- (wrap64_cong (v - w) (i - j)). f_equal. ring.
Qed.

(** A counter of [Faults] or of [AccumulatorState]. *)
Definition counters : Group.
Proof.
  refine {|
    carrier := Z;
    member := fun z => (- 2 ^ 63 <= z < 2 ^ 63)%Z;
    empty := 0%Z;
    merge := fun a b => wrap64 (a + b)%Z;
    remove := fun a b => wrap64 (a - b)%Z;
  |}.
  - lia.
  - intros. apply wrap64_range.
  - intros. apply wrap64_range.
  - intros. f_equal. ring.
  - intros a b c Ha Hb Hc. rewrite <- (wrap64_small a Ha) at 1. rewrite <- (wrap64_small c Hc) at 2.
    rewrite !wrap64_add. f_equal. ring.
  - intros a Ha. apply wrap64_small, Ha.
  - intros a b Ha Hb. rewrite <- (wrap64_small b Hb) at 2. rewrite wrap64_sub, Z.add_simpl_r.
    apply wrap64_small, Ha.
  - intros a b Ha Hb. rewrite <- (wrap64_small b Hb) at 2. rewrite wrap64_add, Z.sub_add.
    apply wrap64_small, Ha.
Defined.

Theorem a_counter_counts_modulo_two_to_the_64 : forall O (f : O -> Z) p,
  run counters (fun x => wrap64 (f x)) p = wrap64 (net f p).
Proof.
  intros O f p.
  apply (a_plan_stands_for_its_net_integer counters wrap64 O (fun _ => True) (fun x => wrap64 (f x)) f);
    intros; cbn.
  - reflexivity.
  - apply wrap64_add.
  - apply wrap64_sub.
  - reflexivity.
  - apply Forall_forall. trivial.
  - apply Forall_forall. trivial.
Qed.
