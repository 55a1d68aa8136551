(** Merges that count nothing twice: extrema and registers.

    Models [Extrema] of convergence_jax/statistics/extrema.py ([empty], [lift], [merge]; faults are flags) and
    the merge of [Distinct] of statistics/distinct.py (the larger of both registers, everywhere). Proves that
    both are idempotent commutative monoids, that a state is therefore a function of the set of observations
    (any tree, any order, any number of duplicates), and that the extrema are the least and the greatest key
    observed. What a hash does to the registers is in Registers.v. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants FloatOrder.
Import ListNotations.
Open Scope Z_scope.

(** ** Idempotent commutative monoids *)
Section Semilattice.
Set Default Proof Using "Type".
Variable S : Type.
Variable valid : S -> Prop.
Variable merge : S -> S -> S.
Variable empty : S.
Hypothesis empty_is_valid : valid empty.
Hypothesis merge_is_valid : forall a b, valid a -> valid b -> valid (merge a b).
Hypothesis associative : forall a b c, valid a -> valid b -> valid c -> merge a (merge b c) = merge
  (merge a b) c.
Hypothesis commutative : forall a b, valid a -> valid b -> merge a b = merge b a.
Hypothesis idempotent : forall a, valid a -> merge a a = a.
Hypothesis identity : forall a, valid a -> merge empty a = a.

(** Any tree of merges; the states at its leaves may be of one observation or of many. *)
Inductive tree := Leaf (s : S) | Node (first second : tree).

Fixpoint reduce (t : tree) : S :=
  match t with Leaf s => s | Node first second => merge (reduce first) (reduce second) end.
Fixpoint leaves (t : tree) : list S :=
  match t with Leaf s => [s] | Node first second => leaves first ++ leaves second end.

(** One after the other, from the empty state. *)
Definition gather (l : list S) : S := fold_right merge empty l.

Lemma gather_is_valid l : Forall valid l -> valid (gather l).
Proof using empty_is_valid merge_is_valid. induction 1; cbn; auto. Qed.

Lemma gather_app l m : Forall valid l -> Forall valid m -> gather (l ++ m) = merge (gather l) (gather m).
Proof using empty_is_valid merge_is_valid associative identity.
  intros Hl Hm. induction Hl as [|a rest Ha Hrest IH]; cbn [app gather fold_right].
  - symmetry. apply identity. now apply gather_is_valid.
  - fold (gather (rest ++ m)) (gather rest). rewrite IH. apply associative;
    [assumption|now apply gather_is_valid..].
Qed.

Theorem any_tree_is_one_after_the_other t : Forall valid (leaves t) -> reduce t = gather (leaves t).
Proof using empty_is_valid merge_is_valid associative commutative identity.
  induction t as [s | first IHf second IHs]; cbn [reduce leaves]; intros Hvalid.
  - inversion Hvalid; subst. cbn. rewrite commutative by assumption. symmetry. now apply identity.
  - apply Forall_app in Hvalid as [Hf Hs]. rewrite IHf, IHs by assumption. symmetry. now apply gather_app.
Qed.

Lemma seen_before a l : Forall valid l -> In a l -> merge a (gather l) = gather l.
Proof using empty_is_valid merge_is_valid associative commutative idempotent.
  induction 1 as [|b rest Hb Hrest IH]; [easy|]. intros [-> | Hin]; cbn; fold (gather rest).
  - rewrite associative, idempotent; [reflexivity|assumption..|]. now apply gather_is_valid.
  - assert (valid a) as Ha by (now apply (proj1 (Forall_forall _ _) Hrest)).
    assert (valid (gather rest)) as Hg by now apply gather_is_valid.
    rewrite associative, (commutative a b), <- associative, IH by assumption. reflexivity.
Qed.

Lemma gather_of_a_subset l m : Forall valid m -> incl l m -> merge (gather l) (gather m) = gather m.
Proof using empty_is_valid merge_is_valid associative commutative idempotent identity.
  intros Hm Hincl. induction l as [|a rest IH]; cbn.
  - apply identity. now apply gather_is_valid.
  - fold (gather rest). apply incl_cons_inv in Hincl as [Hin Hincl].
    assert (Forall valid rest) as Hrest.
    { apply Forall_forall. intros x Hx. apply (proj1 (Forall_forall _ _) Hm). now apply Hincl. }
    rewrite <- associative, IH; [now apply seen_before|assumption|..].
    + now apply (proj1 (Forall_forall _ _) Hm).
    + now apply gather_is_valid.
    + now apply gather_is_valid.
Qed.

(** The state is a function of the set of leaves. *)
Theorem same_set_same_state t u :
  Forall valid (leaves t) -> (forall s, In s (leaves t) <-> In s (leaves u)) -> reduce t = reduce u.
Proof using empty_is_valid merge_is_valid associative commutative idempotent identity.
  intros Ht Hsame.
  assert (Forall valid (leaves u)) as Hu.
  { apply Forall_forall. intros s Hs. apply (proj1 (Forall_forall _ _) Ht). now apply Hsame. }
  rewrite !any_tree_is_one_after_the_other by assumption.
  rewrite <- (gather_of_a_subset (leaves u) (leaves t)), commutative, gather_of_a_subset;
    try assumption; try (now apply gather_is_valid); try reflexivity; intros s Hs; now apply Hsame.
Qed.
End Semilattice.

Arguments Leaf {S}. Arguments Node {S}. Arguments reduce {S}. Arguments leaves {S}. Arguments gather {S}.

(** ** Extrema *)

(** [ExtremaState]; the three faults are flags *)
Record extrema := Extrema { smallest : Z; largest : Z; nan : Z; infinite : Z; beyond : Z }.

Definition ABOVE_ALL : Z := 2 ^ SIGN_BIT - 1.
Definition BELOW_ALL : Z := - 2 ^ SIGN_BIT.

Definition no_extrema : extrema := Extrema ABOVE_ALL BELOW_ALL 0 0 0.

(** [Extrema.lift], on the bits of a float64 *)
Definition extrema_of (bits : Z) : extrema :=
  if is_nan bits then Extrema ABOVE_ALL BELOW_ALL 1 0 0
  else Extrema (order_key bits) (order_key bits) 0 0 0.

(** [Extrema.merge] *)
Definition merge_extrema (a b : extrema) : extrema :=
  Extrema (Z.min (smallest a) (smallest b)) (Z.max (largest a) (largest b))
    (Z.max (nan a) (nan b)) (Z.max (infinite a) (infinite b)) (Z.max (beyond a) (beyond b)).

Definition is_extrema (s : extrema) : Prop :=
  is_pattern (smallest s) /\ is_pattern (largest s)
  /\ 0 <= nan s <= 1 /\ 0 <= infinite s <= 1 /\ 0 <= beyond s <= 1.

Lemma extrema_of_is_valid bits : is_pattern bits -> is_extrema (extrema_of bits).
Proof.
  intros H. pose proof (order_key_is_a_pattern bits H). unfold extrema_of, is_extrema.
  destruct (is_nan bits); cbn; unfold is_pattern, ABOVE_ALL, BELOW_ALL, SIGN_BIT in *; lia.
Qed.

Lemma no_extrema_is_valid : is_extrema no_extrema.
Proof. unfold is_extrema, no_extrema, is_pattern, ABOVE_ALL, BELOW_ALL, SIGN_BIT. cbn. lia. Qed.

Lemma merge_extrema_is_valid a b : is_extrema a -> is_extrema b -> is_extrema (merge_extrema a b).
Proof. unfold is_extrema, is_pattern, merge_extrema. cbn. lia. Qed.

Theorem extrema_are_associative a b c :
  merge_extrema a (merge_extrema b c) = merge_extrema (merge_extrema a b) c.
Proof. unfold merge_extrema. cbn. f_equal; lia. Qed.

Theorem extrema_are_commutative a b : merge_extrema a b = merge_extrema b a.
Proof. unfold merge_extrema. f_equal; lia. Qed.

Theorem extrema_are_idempotent a : merge_extrema a a = a.
Proof. destruct a. unfold merge_extrema. cbn. f_equal; lia. Qed.

Theorem no_extrema_is_the_identity a : is_extrema a -> merge_extrema no_extrema a = a.
Proof.
  destruct a. unfold is_extrema, is_pattern, merge_extrema, no_extrema, ABOVE_ALL, BELOW_ALL. cbn
    [smallest largest
    nan infinite beyond]. intros H. f_equal; lia.
Qed.

Theorem extrema_depend_on_the_set_alone (t u : tree extrema) :
  Forall is_extrema (leaves t) -> (forall s, In s (leaves t) <-> In s (leaves u)) ->
  reduce merge_extrema t = reduce merge_extrema u.
Proof.
  apply same_set_same_state with (empty := no_extrema).
  - exact no_extrema_is_valid.
  - exact merge_extrema_is_valid.
  - intros. apply extrema_are_associative.
  - intros. apply extrema_are_commutative.
  - intros. apply extrema_are_idempotent.
  - exact no_extrema_is_the_identity.
Qed.

Definition extrema_of_all (observations : list Z) : extrema :=
  gather merge_extrema no_extrema (map extrema_of observations).

(** The extrema are keys of observations, and bound the keys of all that are not NaN. *)
Theorem extrema_are_the_outermost_observations (observations : list Z) :
  let seen := filter (fun bits => negb (is_nan bits)) observations in
  seen <> [] -> Forall is_pattern observations ->
  In (smallest (extrema_of_all observations)) (map order_key seen)
  /\ In (largest (extrema_of_all observations)) (map order_key seen)
  /\ forall bits, In bits seen ->
     smallest (extrema_of_all observations) <= order_key bits <= largest (extrema_of_all observations).
Proof.
  intros seen Hsome Hpatterns. unfold extrema_of_all, seen in *. clear seen.
  induction Hpatterns as [|x rest Hx Hrest IH]; [easy|].
  cbn [map gather fold_right filter] in *. fold (gather merge_extrema no_extrema (map extrema_of rest)) in *.
  set (others := gather merge_extrema no_extrema (map extrema_of rest)) in *.
  unfold extrema_of at 1 2 3 4. destruct (is_nan x) eqn:Hnan; cbn [negb] in *.
  - specialize (IH Hsome). cbn [merge_extrema smallest largest].
    assert (is_extrema others) as Hothers.
    { apply (gather_is_valid _ is_extrema); [exact no_extrema_is_valid|exact merge_extrema_is_valid|].
      apply Forall_map. eapply Forall_impl; [|exact Hrest]. exact extrema_of_is_valid. }
    replace (Z.min ABOVE_ALL (smallest others)) with (smallest others)
      by (unfold is_extrema, is_pattern, ABOVE_ALL in *; lia).
    replace (Z.max BELOW_ALL (largest others)) with (largest others)
      by (unfold is_extrema, is_pattern, BELOW_ALL in *; lia).
    exact IH.
  - cbn [merge_extrema smallest largest map In].
    pose proof (order_key_is_a_pattern x Hx) as Hkey.
    destruct (filter (fun bits => negb (is_nan bits)) rest) as [|y more] eqn:Hfilter.
    + assert (smallest others = ABOVE_ALL /\ largest others = BELOW_ALL) as [-> ->].
      { unfold others. clear - Hfilter. induction rest as [|z rest IH]; [split; reflexivity|].
        cbn [filter] in Hfilter. cbn [map gather fold_right]. unfold extrema_of at 1 3.
        destruct (is_nan z); [|discriminate]. cbn [negb] in Hfilter. destruct (IH Hfilter) as [H1 H2].
        unfold gather in H1, H2. cbn [merge_extrema smallest largest]. rewrite H1, H2. split; reflexivity. }
      unfold is_pattern, ABOVE_ALL, BELOW_ALL in *. repeat split.
      * left. lia.
      * left. lia.
      * destruct H as [<- | []]. lia.
      * destruct H as [<- | []]. lia.
    + destruct (IH ltac:(easy)) as (Hsmallest & Hlargest & Hbounds). repeat split.
      * destruct (Z.min_spec (order_key x) (smallest others)) as [[_ ->] | [_ ->]]; [now left|now right].
      * destruct (Z.max_spec (order_key x) (largest others)) as [[_ ->] | [_ ->]]; [now right|now left].
      * destruct H as [<- | Hin]; [lia|]. specialize (Hbounds _ Hin). lia.
      * destruct H as [<- | Hin]; [lia|]. specialize (Hbounds _ Hin). lia.
Qed.
