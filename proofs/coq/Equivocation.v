(** What holds although some writers contradict themselves: the model is [Rows.v], of
    [convergence_jax/partition/rows/replica.py] with [join_conflict] and [excluded], and [gossip.receive].

    Proved, for whatever rows and proofs were ever signed: the proof of a contradiction is never forgotten;
    once two replicas have nothing left to tell each other they exclude the same nodes and hold the same rows
    of all the others, whatever came in which order, and nobody is excluded without a proof that was signed.
    That prints of two bytes find rows that differ is not modelled: tables are compared in full. *)
From Coq Require Import ZArith List Bool Lia.
From Convergence Require Import Rows RowInvariant.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

(** What holds of every replica, whoever signs what: rows stand apart, none is absorbed by another. *)
Definition sound (holds : Incarnation -> bool) (own : Incarnation) (s : Replica) : Prop :=
  (forall g h, In g (table s) -> In h (table s) -> key g = key h -> g = h)
  /\ (forall h, In h (table s) -> sealable h = true /\ (key h = own \/ holds (key h) = true))
  /\ (forall g h, In g (table s) -> In h (table s) -> node (key g) = node (key h) -> key h <> own ->
        frontier g <= counter (key h))
  /\ (forall c, In c (conflicts s) -> contradictory c = true /\ holds (key (first c)) = true).

Section Steps.
Variable holds : Incarnation -> bool.

Lemma put_is_sound : forall own h s, sound holds own s -> sealable h = true ->
  (key h = own \/ holds (key h) = true) ->
  (key h = own \/ frontier_of (node (key h)) s <= counter (key h)) -> sound holds own (put own h s).
Proof.
  intros own h s (U & W & F & C) S M O. destruct (sealable_spec _ S) as (S1 & S2 & S3).
  split; [|split; [|split; [|exact C]]].
  - intros x y [->|(I & N & _)]%in_put [->|(J & L & _)]%in_put E; try congruence. apply U; auto.
  - intros x [->|(I & N & _)]%in_put; auto.
  - intros x y [->|(I & N & _)]%in_put [->|(J & L & [X|X])]%in_put E D; try congruence; auto.
    + destruct X as [X|X]; [congruence|auto].
    + destruct O as [O|O]; [congruence|].
      assert (frontier x <= frontier_of (node (key h)) s) by (apply frontier_of_at_least; auto). lia.
Qed.

Lemma in_conflict_spec : forall k s, in_conflict k s = true <->
  exists c, In c (conflicts s) /\ key (first c) = k.
Proof.
  clear holds; intros k s; unfold in_conflict. rewrite existsb_exists.
  split; intros (c & I & E); exists c; (split; [auto|]);
    destruct (same_key_spec (key (first c)) k); congruence.
Qed.

Lemma excluded_spec : forall n s, excluded n s = true <->
  exists c, In c (conflicts s) /\ node (key (first c)) = n.
Proof.
  clear holds; intros n s; unfold excluded. rewrite existsb_exists.
  split; intros (c & I & E); exists c; (split; [auto|]); apply Z.eqb_eq; auto.
Qed.

Lemma sound_empty : forall own, sound holds own empty.
Proof. intros own; repeat split; simpl; intros; contradiction. Qed.

Theorem every_step_is_sound : forall own s e, sound holds own s -> sound holds own (step holds own s e).
Proof.
  intros own s e X. destruct e as [h|h|c]; simpl.
  - unfold publish. destruct (same_key_spec (key h) own); simpl; auto.
    destruct (sealable h) eqn:S; simpl; auto.
    destruct (_ <? _); auto. apply put_is_sound; auto.
  - unfold join. destruct (same_key_spec (key h) own); simpl; auto.
    destruct (in_conflict (key h) s); simpl; auto. destruct (holds (key h)) eqn:M; simpl; auto.
    destruct (sealable h) eqn:S; simpl; auto.
    destruct (Z.ltb_spec (counter (key h)) (frontier_of (node (key h)) s)); auto.
    destruct (row_of (key h) s) as [r|] eqn:R; [|apply put_is_sound; auto].
    destruct (_ <? _); auto. destruct (same_head_spec h r) as [|D]; auto.
    destruct (Z.eqb_spec (version h) (version r)) as [V|V]; [|apply put_is_sound; auto].
    destruct (row_of_key _ _ _ R) as [K I]. destruct X as (U & W & F & C).
    split; [exact U|split; [exact W|split; [exact F|]]].
    intros c [<-|J]; auto. split.
    + apply two_rows_of_one_version_prove_a_conflict; auto.
    + unfold conflict; destruct (precedes h r); simpl; congruence.
  - unfold join_conflict. destruct (contradictory c) eqn:P; simpl; auto.
    destruct (in_conflict (key (first c)) s); simpl; auto.
    destruct (holds (key (first c))) eqn:M; simpl; auto.
    destruct X as (U & W & F & C). split; [exact U|split; [exact W|split; [exact F|]]].
    intros d [<-|J]; auto.
Qed.

Corollary every_run_is_sound : forall own events, sound holds own (run holds own events).
Proof.
  intros own events; induction events as [|e l IH] using rev_ind; [apply sound_empty|].
  unfold run in *. rewrite fold_left_app; simpl. apply every_step_is_sound; auto.
Qed.

Lemma conflicts_stay : forall own s e c, In c (conflicts s) -> In c (conflicts (step holds own s e)).
Proof.
  intros own s e c I. destruct e as [h|h|d]; simpl.
  - unfold publish. destruct (_ && _ && _); auto.
  - unfold join. destruct (_ || _); auto. destruct (row_of (key h) s) as [r|]; auto.
    destruct (_ <? _); auto. destruct (same_head h r); auto. destruct (_ =? _); simpl; auto.
  - unfold join_conflict. destruct (_ || _ || _); simpl; auto.
Qed.

(** A conflict absorbs: whatever the node says or whoever repeats it, it stays excluded. *)
Theorem an_exclusion_is_for_good : forall own l m n,
  excluded n (run holds own l) = true -> excluded n (run holds own (l ++ m)) = true.
Proof.
  intros own l m n. rewrite !excluded_spec. intros (c & I & N). exists c; split; auto.
  unfold run in *. rewrite fold_left_app. revert I. generalize (fold_left (step holds own) l empty).
  induction m as [|e m IH]; intros s I; simpl; auto. apply IH, conflicts_stay; auto.
Qed.

Theorem nothing_of_a_key_in_conflict_is_taken : forall own s h, in_conflict (key h) s = true ->
  join own holds s h = s.
Proof. intros own s h C; unfold join. rewrite C, orb_true_r. reflexivity. Qed.

(** Nobody is excluded unless it signed two rows of one version, and both were met. *)
Theorem who_is_excluded_has_contradicted_itself : forall own events n,
  excluded n (run holds own events) = true ->
  exists g h, In g (all_signed events) /\ In h (all_signed events) /\ node (key g) = n
    /\ key g = key h /\ version g = version h /\ g <> h.
Proof.
  intros own events n. rewrite excluded_spec. intros (c & I & <-).
  assert (Met : (forall h, In h (table (run holds own events)) -> In h (all_signed events))
    /\ forall d, In d (conflicts (run holds own events)) ->
         In (first d) (all_signed events) /\ In (second d) (all_signed events)).
  { clear c I. induction events as [|e l (IT & IC)] using rev_ind; [simpl; tauto|].
    unfold run, all_signed in *. rewrite fold_left_app, flat_map_app; simpl. rewrite app_nil_r.
    set (s := fold_left (step holds own) l empty) in *.
    assert (IT' : forall h, In h (table s) -> In h (flat_map signed l ++ signed e))
      by (intros; apply in_or_app; auto).
    assert (IC' : forall d, In d (conflicts s) -> In (first d) (flat_map signed l ++ signed e)
              /\ In (second d) (flat_map signed l ++ signed e))
      by (intros d J; destruct (IC d J); split; apply in_or_app; auto).
    clear IT IC. destruct e as [h|h|d]; simpl in *.
    - unfold publish. destruct (_ && _ && _); auto. split; [|exact IC'].
      intros g [->|(J & _)]%in_put; auto. apply in_or_app; simpl; auto.
    - assert (P : (forall g, In g (table (put own h s)) -> In g (flat_map signed l ++ [h]))
        /\ forall d, In d (conflicts (put own h s)) -> In (first d) (flat_map signed l ++ [h])
              /\ In (second d) (flat_map signed l ++ [h])).
      { split; [|exact IC']. intros g [->|(J & _)]%in_put; auto. apply in_or_app; simpl; auto. }
      unfold join. destruct (_ || _); auto. destruct (row_of (key h) s) as [r|] eqn:R; auto.
      destruct (_ <? _); auto. destruct (same_head h r); auto. destruct (_ =? _); auto. simpl.
      destruct (row_of_key _ _ _ R) as [_ J]. split; auto. intros d [<-|Q]; auto.
      unfold conflict; destruct (precedes h r); simpl; split; auto; apply in_or_app; simpl; auto.
    - unfold join_conflict. destruct (_ || _ || _); simpl; auto. split; auto.
      intros x [<-|J]; auto. split; apply in_or_app; simpl; auto. }
  destruct (every_run_is_sound own events) as (_ & _ & _ & C). destruct (C c I) as (P & _).
  unfold contradictory in P. rewrite !andb_true_iff in P. destruct P as ((K & V) & P).
  destruct (same_key_spec (key (first c)) (key (second c))); [|discriminate]. apply Z.eqb_eq in V.
  exists (first c), (second c). destruct Met as [_ Met]. destruct (Met c I).
  repeat split; auto. intros E. rewrite E, precedes_itself_not in P; discriminate.
Qed.

(** ** When everything is exchanged *)

(** Nothing that [b] holds is news to [a]. *)
Definition no_news (a : Incarnation) (here there : Replica) : Prop :=
  (forall c, In c (conflicts there) -> join_conflict holds here c = here)
  /\ (forall h, In h (table there) -> join a holds here h = here).

(** No other replica has a later row of an incarnation than that one itself, unless it is in conflict. *)
Definition not_impersonated (own : Incarnation) (itself other : Replica) : Prop :=
  forall h, In h (table other) -> key h = own -> exists g, In g (table itself) /\ key g = own
    /\ version h <= version g.

Definition not_superseded (own : Incarnation) (s : Replica) : Prop :=
  frontier_of (node own) s <= counter own.

Lemma proofs_of_one_reach_the_other : forall a here there n, sound holds a here ->
  (forall c, In c (conflicts there) -> contradictory c = true /\ holds (key (first c)) = true) ->
  no_news a here there -> excluded n there = true -> excluded n here = true.
Proof.
  intros a here there n _ C (P & _). rewrite !excluded_spec. intros (c & I & <-).
  destruct (C c I) as (Q & M). specialize (P c I). unfold join_conflict in P. rewrite Q, M in P; simpl in P.
  rewrite orb_false_r in P. destruct (in_conflict (key (first c)) here) eqn:E.
  - apply in_conflict_spec in E as (d & J & K). exists d; split; congruence.
  - exfalso.
    assert (length (conflicts (replica (table here) (c :: conflicts here))) = length (conflicts here))
      by (rewrite P; reflexivity). simpl in *; lia.
Qed.

Theorem who_has_no_news_for_each_other_excludes_the_same : forall a b here there,
  sound holds a here -> sound holds b there -> no_news a here there -> no_news b there here ->
  forall n, excluded n here = excluded n there.
Proof.
  intros a b here there A B X Y n. destruct A as (A1 & A2 & A3 & A4) eqn:?, B as (B1 & B2 & B3 & B4) eqn:?.
  destruct (excluded n here) eqn:E, (excluded n there) eqn:F; auto.
  - rewrite <- F; symmetry; apply (proofs_of_one_reach_the_other b there here); auto.
  - rewrite <- E; apply (proofs_of_one_reach_the_other a here there); auto.
Qed.

(** A row that is no news, of a node without a conflict, is here, or is late, or was absorbed. *)
Lemma no_news_of_a_row : forall a here h, join a holds here h = here ->
  key h <> a -> holds (key h) = true -> sealable h = true -> excluded (node (key h)) here = false ->
  (exists r, In r (table here) /\ key r = key h /\ (r = h \/ version h < version r))
  \/ exists f, In f (table here) /\ node (key f) = node (key h) /\ counter (key h) < frontier f.
Proof.
  intros a here h J N M S E. unfold join in J.
  destruct (same_key_spec (key h) a); [congruence|].
  assert (C : in_conflict (key h) here = false).
  { destruct (in_conflict (key h) here) eqn:C; auto. apply in_conflict_spec in C as (c & I & K).
    rewrite <- E. symmetry. apply excluded_spec. exists c; split; congruence. }
  rewrite C, M, S in J; simpl in J.
  assert (Put : put a h here = here ->
    exists r, In r (table here) /\ key r = key h /\ (r = h \/ version h < version r)).
  { intros Q. exists h. split; [|auto]. rewrite <- Q. apply in_put; auto. }
  destruct (Z.ltb_spec (counter (key h)) (frontier_of (node (key h)) here)) as [L|L].
  - right. destruct (frontier_of_is_held (node (key h)) here) as [Z0|(f & I & Nf & F)].
    + destruct (sealable_spec _ S); lia.
    + exists f; split; [auto|split; [auto|lia]].
  - left. destruct (row_of (key h) here) as [r|] eqn:R; auto.
    destruct (row_of_key _ _ _ R) as [K I]. destruct (Z.ltb_spec (version h) (version r)).
    + exists r; auto.
    + destruct (same_head_spec h r) as [->|]; [exists r; auto|].
      destruct (_ =? _); auto. exfalso.
      assert (length (conflicts (replica (table here) (conflict r h :: conflicts here)))
        = length (conflicts here)) by (rewrite J; reflexivity). simpl in *; lia.
Qed.

Lemma a_row_of_one_is_a_row_of_the_other : forall a b here there h, a <> b ->
  sound holds a here -> sound holds b there -> no_news a here there -> no_news b there here ->
  not_impersonated a here there -> not_impersonated b there here ->
  not_superseded b there -> holds b = true -> holds a = true ->
  excluded (node (key h)) here = false -> excluded (node (key h)) there = false ->
  In h (table there) -> In h (table here).
Proof.
  intros a b here there h D (Ua & Wa & Fa & _) (Ub & Wb & Fb & _) (_ & X) (_ & Y) Ia Ib Sb Mb Ma Ea Eb I.
  assert (Barrier : forall f, In f (table there) -> node (key f) = node (key h) ->
    frontier f <= counter (key h)).
  { intros f J N. destruct (same_key_spec (key h) b) as [E|E]; [|apply Fb; auto].
    assert (frontier f <= frontier_of (node b) there) by (apply frontier_of_at_least; auto; congruence).
    unfold not_superseded in Sb. rewrite E; lia. }
  destruct (Wb h I) as (S & M).
  (* A row here under a key of a row there is the same row. *)
  assert (Same : forall r g, In r (table here) -> In g (table there) -> node (key g) = node (key h) ->
            key r = key g -> version g < version r -> False).
  { intros r g R G N K V. destruct (same_key_spec (key r) b) as [E|E].
    - destruct (Ib r R E) as (o & O & Ko & Vo). assert (o = g) by (apply Ub; auto; congruence). subst; lia.
    - destruct (Wa r R) as (Sr & Mr).
      assert (holds (key r) = true) as Hr by (destruct Mr as [->|]; auto).
      destruct (no_news_of_a_row b there r (Y r R) E Hr Sr) as [(q & Q & Kq & Vq)|(f & F & Nf & Lf)].
      + rewrite K, N; auto.
      + assert (q = g) by (apply Ub; auto; congruence). subst. destruct Vq; [subst; lia|lia].
      + assert (key g <> b) by congruence. specialize (Fb f g F G ltac:(congruence) ltac:(auto)).
        rewrite K in Lf; lia. }
  destruct (same_key_spec (key h) a) as [E|E].
  - destruct (Ia h I E) as (g & G & K & V).
    destruct (Z.eq_dec (version h) (version g)) as [Q|Q];
      [|exfalso; apply (Same g h G I eq_refl); [congruence|lia]].
    assert (key g <> b) as Nb by congruence. destruct (Wa g G) as (Sg & _).
    destruct (no_news_of_a_row b there g (Y g G) Nb) as [(q & I' & Kq & Vq)|(f & F & Nf & Lf)];
      [congruence|auto|congruence| |].
    + assert (q = h) by (apply Ub; auto; congruence). subst. destruct Vq; [subst; auto|lia].
    + specialize (Barrier f F ltac:(congruence)). rewrite E in Barrier. rewrite K in Lf. lia.
  - assert (holds (key h) = true) as Hh by (destruct M as [->|]; auto).
    destruct (no_news_of_a_row a here h (X h I) E Hh S Ea) as [(r & R & K & [->|V])|(f & F & N & L)]; auto.
    + exfalso; apply (Same r h R I eq_refl K V).
    + exfalso. destruct (same_key_spec (key f) b) as [Ef|Ef].
      * destruct (Ib f F Ef) as (o & O & Ko & Vo).
        destruct (Wa f F) as (Sf & _). destruct (sealable_spec _ Sf) as (_ & _ & Cf).
        assert (counter (key h) < counter b) by (rewrite <- Ef; lia).
        destruct (Z.eq_dec (version f) (version o)) as [Q|Q].
        -- destruct (no_news_of_a_row a here o (X o O)) as [(r & R & Kr & Vr)|(g & G & Ng & Lg)];
             [congruence|congruence|apply Wb; auto|rewrite Ko, <- Ef, N; auto| |].
           ++ assert (r = f) by (apply Ua; auto; congruence). subst.
              destruct Vr; [subst|lia]. specialize (Barrier o O ltac:(congruence)). lia.
           ++ assert (key f <> a) by congruence.
              specialize (Fa g f G F ltac:(congruence) ltac:(auto)). rewrite Ko, <- Ef in Lg. lia.
        -- destruct (no_news_of_a_row a here o (X o O)) as [(r & R & Kr & Vr)|(g & G & Ng & Lg)];
             [congruence|congruence|apply Wb; auto|rewrite Ko, <- Ef, N; auto| |].
           ++ assert (r = f) by (apply Ua; auto; congruence). subst. destruct Vr; [congruence|lia].
           ++ assert (key f <> a) by congruence.
              specialize (Fa g f G F ltac:(congruence) ltac:(auto)). rewrite Ko, <- Ef in Lg. lia.
      * destruct (Wa f F) as (Sf & Mf). destruct (sealable_spec _ Sf) as (_ & _ & Cf).
        assert (holds (key f) = true) as Hf by (destruct Mf as [->|]; auto).
        destruct (no_news_of_a_row b there f (Y f F) Ef Hf Sf) as [(q & Q & Kq & Vq)|(g & G & Ng & Lg)].
        -- rewrite N; auto.
        -- destruct Vq as [->|Vq]; [specialize (Barrier f Q N); lia|].
           destruct (Wb q Q) as (Sq & Mq).
           destruct (same_key_spec (key q) a) as [Eq|Eq].
           ++ destruct (Ia q Q Eq) as (o & O & Ko & Vo).
              assert (o = f) by (apply Ua; auto; congruence). subst; lia.
           ++ assert (holds (key q) = true) as Hq by (destruct Mq as [->|]; auto).
              destruct (no_news_of_a_row a here q (X q Q) Eq Hq Sq) as [(r & R & Kr & Vr)|(g & G & Ng & Lg)].
              ** rewrite Kq, N; auto.
              ** assert (r = f) by (apply Ua; auto; congruence). subst.
                 destruct Vr; [subst; lia|lia].
              ** assert (key f <> a) by congruence.
                 specialize (Fa g f G F ltac:(congruence) ltac:(auto)). rewrite Kq in Lg. lia.
        -- specialize (Barrier g G ltac:(congruence)). lia.
Qed.

(** Once nothing is left to tell, both exclude the same nodes and hold the same rows of all others. The roster
    holds both: one that it leaves out keeps its own row, which [Replica.rows] does not count there. *)
Theorem when_all_is_exchanged_replicas_agree : forall a b here there, a <> b ->
  sound holds a here -> sound holds b there -> no_news a here there -> no_news b there here ->
  not_impersonated a here there -> not_impersonated b there here ->
  not_superseded a here -> not_superseded b there -> holds a = true -> holds b = true ->
  (forall n, excluded n here = excluded n there) /\ (forall h, In h (rows here) <-> In h (rows there)).
Proof.
  intros a b here there D A B X Y Ia Ib Sa Sb Ma Mb.
  pose proof (who_has_no_news_for_each_other_excludes_the_same a b here there A B X Y) as E.
  split; auto. intros h; unfold rows. rewrite !filter_In, !negb_true_iff. rewrite (E (node (key h))).
  split; intros (I & F); (split; [|auto]).
  - apply (a_row_of_one_is_a_row_of_the_other b a there here); auto. rewrite E; auto.
  - apply (a_row_of_one_is_a_row_of_the_other a b here there); auto. rewrite E; auto.
Qed.
End Steps.

(** The two replicas of [Rows.v] that met the rows of a liar in other orders agree after one exchange, and
    then have no news for each other. *)
Example an_exchange_spreads_the_proof :
  let all := fun _ : Incarnation => true in
  let a := incarnation 2 1 0 in
  let b := incarnation 3 1 0 in
  let here := run all a [Arrive one; Arrive other; Arrive later] in
  let there := run all b [Arrive one; Arrive later; Arrive other] in
  let here' := fold_left (join a all) (table there) (fold_left (join_conflict all) (conflicts there) here) in
  let there' := fold_left (join b all) (table here) (fold_left (join_conflict all) (conflicts here) there) in
  excluded 1 here = true /\ excluded 1 there = false
  /\ excluded 1 here' = true /\ excluded 1 there' = true
  /\ no_news all a here' there' /\ no_news all b there' here'.
Proof.
  cbv zeta. repeat split; try reflexivity; intros x I; simpl in I; repeat destruct I as [<-|I]; try easy.
Qed.
