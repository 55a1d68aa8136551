(** What one node says decides what replicas hold of it, whatever other nodes do.

    Models [Replica.join], [join_conflict] and [publish] of [convergence_jax/partition/rows/replica.py], as
    [Rows.v] has them: rows, frontiers and conflicts of a node are looked up under its name alone.

    Proved: what a replica holds of a node is what it would hold had nobody else said anything; so of each
    node that does not contradict itself the order and number of arrivals leave no trace, if others lie. *)
From Coq Require Import ZArith List Bool Lia.
From Convergence Require Import Rows RowInvariant RowExchange.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

Definition is_of (n : Z) (h : Head) : bool := node (key h) =? n.

(** The part of a replica that is about one node. *)
Definition part (n : Z) (s : Replica) : Replica :=
  replica (filter (is_of n) (table s)) (filter (fun c => is_of n (first c)) (conflicts s)).

Definition is_about (n : Z) (e : Event) : bool :=
  match e with Publish h | Arrive h => is_of n h | Show c => is_of n (first c) end.

Lemma filters_twice : forall (A : Type) (p q : A -> bool) l, (forall x, p x = true -> q x = true) ->
  filter p (filter q l) = filter p l.
Proof.
  intros A p q l H; induction l as [|x l IH]; simpl; auto.
  destruct (q x) eqn:Q; simpl; [rewrite IH; auto|]. destruct (p x) eqn:P; auto. rewrite H in Q; congruence.
Qed.

Lemma filters_commute : forall (A : Type) (p q : A -> bool) l, filter p (filter q l) = filter q (filter p l).
Proof.
  intros A p q l; induction l as [|x l IH]; simpl; auto.
  destruct (q x) eqn:Q, (p x) eqn:P; simpl; rewrite ?P, ?Q, IH; auto.
Qed.

Lemma same_key_same_node : forall a b, same_key a b = true -> node a = node b.
Proof. intros a b H. destruct (same_key_spec a b); congruence. Qed.

Lemma row_of_part : forall n s k, node k = n -> row_of k (part n s) = row_of k s.
Proof.
  intros n s k N; unfold row_of, part; simpl. induction (table s) as [|h t IH]; simpl; auto.
  unfold is_of at 1. destruct (same_key (key h) k) eqn:E.
  - rewrite (same_key_same_node _ _ E), N, Z.eqb_refl; simpl. rewrite E; auto.
  - destruct (node (key h) =? n); simpl; rewrite ?E; auto.
Qed.

Lemma in_conflict_part : forall n s k, node k = n -> in_conflict k (part n s) = in_conflict k s.
Proof.
  intros n s k N; unfold in_conflict, part; simpl. induction (conflicts s) as [|c t IH]; simpl; auto.
  unfold is_of at 1. destruct (same_key (key (first c)) k) eqn:E.
  - rewrite (same_key_same_node _ _ E), N, Z.eqb_refl; simpl. rewrite E; auto.
  - destruct (node (key (first c)) =? n); simpl; rewrite ?E; auto.
Qed.

Lemma frontier_of_part : forall n s, frontier_of n (part n s) = frontier_of n s.
Proof. intros n s; unfold frontier_of, part; simpl. rewrite filters_twice; auto. Qed.

Lemma part_put : forall own n s h, node (key h) = n -> part n (put own h s) = put own h (part n s).
Proof.
  intros own n s h N; unfold part, put; simpl. unfold is_of at 1. rewrite N, Z.eqb_refl.
  f_equal. f_equal. apply filters_commute.
Qed.

Lemma part_put_of_others : forall own n s h, node (key h) <> n -> part n (put own h s) = part n s.
Proof.
  intros own n s h N; unfold part, put; simpl. unfold is_of at 1.
  destruct (Z.eqb_spec (node (key h)) n); [easy|].
  f_equal. apply filters_twice. intros g G. unfold is_of in G. apply Z.eqb_eq in G.
  unfold absorbs. destruct (same_key (key g) (key h)) eqn:E; [apply same_key_same_node in E; congruence|].
  destruct (Z.eqb_spec (node (key g)) (node (key h))); [congruence|reflexivity].
Qed.

Section Replicas.
Variable holds : Incarnation -> bool.
Notation step := (RowInvariant.step holds).
Notation run := (RowInvariant.run holds).

Lemma first_of_conflict : forall n r h, is_of n r = true -> is_of n h = true ->
  is_of n (first (conflict r h)) = true.
Proof. clear holds; intros n r h R H; unfold conflict. destruct (precedes h r); auto. Qed.

Lemma steps_about_a_node : forall own n s e, is_about n e = true ->
  part n (step own s e) = step own (part n s) e.
Proof.
  intros own n s e A. destruct e as [h|h|c]; simpl in A; unfold is_of in A; apply Z.eqb_eq in A.
  - simpl. unfold publish. destruct (same_key (key h) own) eqn:E; simpl; auto.
    rewrite row_of_part by (rewrite <- (same_key_same_node _ _ E); auto).
    destruct (_ && _); auto. apply part_put; auto.
  - simpl. unfold join. rewrite in_conflict_part, A, frontier_of_part, row_of_part by auto.
    destruct (_ || _); auto. destruct (row_of (key h) s) as [r|] eqn:R; [|apply part_put; auto].
    destruct (_ <? _); auto. destruct (same_head h r); auto. destruct (_ =? _); [|apply part_put; auto].
    unfold part; simpl. destruct (row_of_key _ _ _ R) as [K _].
    rewrite first_of_conflict; auto; unfold is_of; apply Z.eqb_eq; congruence.
  - simpl. unfold join_conflict. rewrite in_conflict_part by auto. destruct (_ || _); auto.
    unfold part; simpl. unfold is_of at 2. rewrite A, Z.eqb_refl. auto.
Qed.

Lemma steps_about_others : forall own n s e, is_about n e = false -> part n (step own s e) = part n s.
Proof.
  intros own n s e A. destruct e as [h|h|c]; simpl in A; unfold is_of in A; apply Z.eqb_neq in A; simpl.
  - unfold publish. destruct (_ && _); auto. apply part_put_of_others; auto.
  - unfold join. destruct (_ || _); auto. destruct (row_of (key h) s) as [r|] eqn:R;
      [|apply part_put_of_others; auto].
    destruct (_ <? _); auto. destruct (same_head h r); auto.
    destruct (_ =? _); [|apply part_put_of_others; auto].
    unfold part; simpl. destruct (row_of_key _ _ _ R) as [K _].
    destruct (is_of n (first (conflict r h))) eqn:F; auto. exfalso. apply A. unfold is_of in F.
    apply Z.eqb_eq in F. unfold conflict in F. destruct (precedes h r); simpl in F; congruence.
  - unfold join_conflict. destruct (_ || _); auto. unfold part; simpl. unfold is_of at 2.
    destruct (Z.eqb_spec (node (key (first c))) n); [easy|auto].
Qed.

(** Nobody else has a say in what is held of a node. *)
Theorem what_is_held_of_a_node_is_what_it_said : forall own n events,
  part n (run own events) = part n (run own (filter (is_about n) events)).
Proof.
  intros own n events; induction events as [|e l IH] using rev_ind; auto.
  unfold RowInvariant.run in *. rewrite filter_app, !fold_left_app; simpl.
  destruct (is_about n e) eqn:A; simpl.
  - rewrite !steps_about_a_node, IH by auto. reflexivity.
  - rewrite steps_about_others by auto. exact IH.
Qed.

(** Strong eventual consistency of each honest node, with liars around. *)
Theorem of_an_honest_node_the_order_of_arrivals_leaves_no_trace : forall own n l m,
  honest (all_signed (filter (is_about n) l)) -> (forall e, In e l <-> In e m) ->
  forall h, node (key h) = n -> (In h (table (run own l)) <-> In h (table (run own m))).
Proof.
  intros own n l m H E h N.
  assert (P : forall s, In h (table s) <-> In h (table (part n s))).
  { intros s; unfold part; simpl. rewrite filter_In. unfold is_of. rewrite N, Z.eqb_refl. tauto. }
  rewrite (P (run own l)), (P (run own m)).
  rewrite (what_is_held_of_a_node_is_what_it_said own n l), (what_is_held_of_a_node_is_what_it_said own n m).
  rewrite <- (P (run own (filter (is_about n) l))), <- (P (run own (filter (is_about n) m))).
  apply the_order_and_number_of_arrivals_leave_no_trace; auto.
  intros e; rewrite !filter_In, E. tauto.
Qed.

(** And it is never excluded. *)
Theorem an_honest_node_counts_whoever_lies : forall own n events,
  honest (all_signed (filter (is_about n) events)) -> excluded n (run own events) = false.
Proof.
  intros own n events H.
  assert (X : conflicts (part n (run own events)) = []).
  { rewrite what_is_held_of_a_node_is_what_it_said. unfold part; simpl.
    rewrite an_honest_writer_is_never_excluded; auto. }
  unfold excluded. destruct (existsb _ _) eqn:F; auto. apply existsb_exists in F as (c & I & K).
  exfalso. assert (In c (conflicts (part n (run own events)))) as J
    by (unfold part; simpl; apply filter_In; auto). rewrite X in J; easy.
Qed.
End Replicas.
