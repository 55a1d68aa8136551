(** The rows that a replica holds, while rows and proofs arrive in any order: the invariant.

    Models the deliveries that reach one replica of [convergence_jax/partition/rows/replica.py]: rows and
    proofs that arrive, late, repeated, in any order or never, and rows that the replica itself publishes.

    Proved: of writers that do not contradict themselves a replica holds, whatever the order, only rows that
    stand by the set of rows that it has met, and covers all of these. What follows is in [RowExchange.v]. *)
From Coq Require Import ZArith List Bool Lia.
From Convergence Require Import Rows.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

Inductive Event := Publish (h : Head) | Arrive (h : Head) | Show (c : Conflict).

(** No writer contradicts itself: it seals one row a version, and its frontier never falls. *)
Definition honest (heads : list Head) : Prop :=
  forall g h, In g heads -> In h heads -> key g = key h ->
    (version g = version h -> g = h) /\ (version g <= version h -> frontier g <= frontier h).

(** The row of its key after meeting [heads]: the last version, unless a later incarnation has absorbed it. *)
Definition stands (own : Incarnation) (heads : list Head) (h : Head) : Prop :=
  In h heads
  /\ (forall g, In g heads -> key g = key h -> version g <= version h)
  /\ (key h = own \/ forall g, In g heads -> node (key g) = node (key h) -> frontier g <= counter (key h)).

(** ** The invariant *)

Definition invariant (own : Incarnation) (heads : list Head) (s : Replica) : Prop :=
  conflicts s = []
  /\ (forall h, In h heads -> sealable h = true)
  /\ (forall h, In h (table s) -> stands own heads h)
  /\ (forall g, In g heads ->
        exists h, In h (table s) /\ node (key h) = node (key g) /\ frontier g <= frontier h)
  /\ (forall g, In g heads -> (exists h, In h (table s) /\ key h = key g)
        \/ (key g <> own
            /\ exists h, In h heads /\ node (key h) = node (key g) /\ counter (key g) < frontier h)).

Lemma frontier_of_at_least : forall n s h, In h (table s) -> node (key h) = n ->
  frontier h <= frontier_of n s.
Proof.
  unfold frontier_of; intros n s h I <-. induction (table s) as [|g t IH]; [easy|]. simpl.
  destruct I as [->|I].
  - rewrite Z.eqb_refl; simpl; lia.
  - specialize (IH I). destruct (_ =? _); simpl; lia.
Qed.

Lemma frontier_of_is_held : forall n s, frontier_of n s = 0
  \/ exists h, In h (table s) /\ node (key h) = n /\ frontier h = frontier_of n s.
Proof.
  unfold frontier_of; intros n s. induction (table s) as [|g t IH]; simpl; auto.
  destruct (Z.eqb_spec (node (key g)) n); simpl.
  - set (rest_of := fold_right Z.max 0 (map frontier (filter (fun h => node (key h) =? n) t))) in *.
    destruct (Z.max_spec (frontier g) rest_of) as [[L E]|[L E]]; rewrite E.
    + destruct IH as [Z0|(h & I & N & F)]; [left; lia|right; exists h; auto].
    + right; exists g; auto.
  - destruct IH as [Z0|(h & I & N & F)]; [auto|right; exists h; auto].
Qed.

Lemma row_of_none : forall k s, row_of k s = None -> forall h, In h (table s) -> key h <> k.
Proof.
  unfold row_of; intros k s N h I E. apply find_none with (x := h) in N; auto.
  rewrite E, same_key_refl in N; discriminate.
Qed.

Lemma in_put : forall own h s g, In g (table (put own h s)) <->
  g = h \/ (In g (table s) /\ key g <> key h
            /\ (key g = own \/ node (key g) <> node (key h) \/ frontier h <= counter (key g))).
Proof.
  intros own h s g; unfold put, absorbs; simpl. rewrite filter_In, negb_true_iff, orb_false_iff.
  rewrite !andb_false_iff, negb_false_iff.
  destruct (same_key_spec (key g) (key h)), (same_key_spec (key g) own),
    (Z.eqb_spec (node (key g)) (node (key h))), (Z.ltb_spec (counter (key g)) (frontier h));
    intuition (auto; try discriminate; try congruence; try lia).
Qed.

(** A row that is put in takes the place of what it covers. *)
Lemma put_keeps_the_invariant : forall own heads s h, invariant own heads s -> honest (heads ++ [h]) ->
  sealable h = true -> (forall r, row_of (key h) s = Some r -> version r < version h) ->
  (key h = own \/ frontier_of (node (key h)) s <= counter (key h)) ->
  invariant own (heads ++ [h]) (put own h s).
Proof.
  intros own heads s h (C & W & T & F & A) H S V O.
  assert (New : forall g, In g heads -> key g = key h -> version g < version h).
  { intros g I E. destruct (A g I) as [(r & R & K)|(N & _)].
    - destruct (row_of (key h) s) as [r'|] eqn:Q.
      + destruct (row_of_key _ _ _ Q) as [K' I']. destruct (T _ I') as (_ & M & _).
        specialize (V _ eq_refl). specialize (M g I). rewrite K' in M. specialize (M E). lia.
      + exfalso; apply (row_of_none _ _ Q _ R); congruence.
    - destruct (row_of (key h) s) as [r'|] eqn:Q.
      + destruct (row_of_key _ _ _ Q) as [K' I']. destruct (T _ I') as (_ & M & _).
        specialize (V _ eq_refl). specialize (M g I). rewrite K' in M. specialize (M E). lia.
      + destruct O as [O|O]; [congruence|]. destruct (A g I) as [(r & R & K)|(_ & f & If & Nf & Lf)].
        * exfalso; apply (row_of_none _ _ Q _ R); congruence.
        * destruct (F _ If) as (f' & If' & Nf' & Lf').
          assert (frontier f' <= frontier_of (node (key h)) s)
            by (apply frontier_of_at_least; auto; congruence).
          rewrite <- E in *. lia. }
  destruct (sealable_spec _ S) as (S1 & S2 & S3).
  split; [exact C|]. split; [|split; [|split]].
  - intros g [I|[<-|[]]]%in_app_or; auto.
  - intros g [->|(I & K & X)]%in_put.
    + split; [apply in_or_app; simpl; auto|]. split.
      * intros g' [I|[<-|[]]]%in_app_or E; [|lia]. specialize (New _ I E); lia.
      * destruct O as [O|O]; [auto|right]. intros g' [I|[<-|[]]]%in_app_or E; [|lia].
        destruct (F _ I) as (f & If & Nf & Lf).
        assert (frontier f <= frontier_of (node (key h)) s) by (apply frontier_of_at_least; auto; congruence).
        lia.
    + destruct (T _ I) as (I1 & M & B). split; [apply in_or_app; auto|]. split.
      * intros g' [I'|[<-|[]]]%in_app_or E; auto. congruence.
      * destruct X as [X|X]; [auto|]. destruct B as [B|B]; [auto|right].
        intros g' [I'|[<-|[]]]%in_app_or E; auto. destruct X; [congruence|lia].
  - intros g [I|[<-|[]]]%in_app_or; [|exists h; split; [apply in_put; auto 8|split; [reflexivity|lia]]].
    destruct (F _ I) as (f & If & Nf & Lf).
    destruct (same_key_spec (key f) (key h)) as [E|E].
    + exists h. split; [apply in_put; auto 8|]. split; [congruence|].
      destruct (T _ If) as (I1 & _). specialize (New _ I1 E).
      destruct (H f h) as [_ M]; [apply in_or_app; auto|apply in_or_app; simpl; auto|auto|].
      specialize (M ltac:(lia)); lia.
    + destruct (Z.eq_dec (node (key f)) (node (key h))) as [N|N];
        [destruct (Z.le_gt_cases (frontier h) (counter (key f)))|].
      * exists f. split; [apply in_put; auto 8|]. split; auto.
      * exists h. split; [apply in_put; auto 8|]. split; [congruence|].
        destruct (T _ If) as (I1 & _). destruct (sealable_spec _ (W _ I1)); lia.
      * exists f. split; [apply in_put; auto 8|]. auto.
  - intros g [I|[<-|[]]]%in_app_or; [|left; exists h; split; [apply in_put; auto 8|reflexivity]].
    destruct (same_key_spec (key g) (key h)) as [E|E];
      [left; exists h; split; [apply in_put; auto|congruence]|].
    destruct (A _ I) as [(r & R & K)|(N & f & If & Nf & Lf)];
      [|right; split; auto; exists f; split; [apply in_or_app; auto|auto]].
    destruct (same_key_spec (key g) own) as [Eo|Eo].
    { left; exists r; split; auto. apply in_put; right; split; auto. split; [congruence|left; congruence]. }
    destruct (Z.eq_dec (node (key r)) (node (key h))) as [N|N];
      [destruct (Z.le_gt_cases (frontier h) (counter (key r)))|].
    + left; exists r; split; auto. apply in_put; right; split; auto. split; [congruence|auto].
    + right; split; auto. exists h; split; [apply in_or_app; simpl; auto|]. split; [congruence|].
      rewrite <- K; lia.
    + left; exists r; split; auto. apply in_put; right; split; auto. split; [congruence|auto].
Qed.

(** A row that is no news was covered before. *)
Lemma old_news_keep_the_invariant : forall own heads s h, invariant own heads s -> honest (heads ++ [h]) ->
  sealable h = true ->
  (key h <> own /\ counter (key h) < frontier_of (node (key h)) s
   \/ exists r, row_of (key h) s = Some r /\ version h <= version r) ->
  invariant own (heads ++ [h]) s.
Proof.
  intros own heads s h (C & W & T & F & A) H S X.
  destruct (sealable_spec _ S) as (S1 & S2 & S3).
  assert (Cover : exists r, In r (table s) /\ node (key r) = node (key h) /\ frontier h <= frontier r).
  { destruct X as [(O & L)|(r & R & L)].
    - destruct (frontier_of_is_held (node (key h)) s) as [Z0|(r & I & N & E)]; [lia|].
      exists r; repeat split; auto; lia.
    - destruct (row_of_key _ _ _ R) as [K I]. exists r; split; auto; split; [congruence|].
      destruct (T _ I) as (I1 & _).
      destruct (H h r) as [_ M]; [apply in_or_app; simpl; auto|apply in_or_app; auto|auto|auto]. }
  split; [exact C|]. split; [|split; [|split]].
  - intros g [I|[<-|[]]]%in_app_or; auto.
  - intros g I. destruct (T _ I) as (I1 & M & B). split; [apply in_or_app; auto|]. split.
    + intros g' [I'|[<-|[]]]%in_app_or E; auto.
      destruct X as [(O & L)|(r & R & L)].
      * exfalso. destruct B as [B|B]; [congruence|].
        destruct (frontier_of_is_held (node (key h)) s) as [Z0|(r & Ir & N & Er)]; [lia|].
        destruct (T _ Ir) as (I2 & _). specialize (B r I2). rewrite <- E in B. specialize (B N). lia.
      * destruct (row_of_key _ _ _ R) as [K Ir]. destruct (T _ Ir) as (I2 & _).
        specialize (M r I2). rewrite K in M. specialize (M E). lia.
    + destruct B as [B|B]; auto. right. intros g' [I'|[<-|[]]]%in_app_or E; auto.
      destruct Cover as (r & Ir & N & L). destruct (T _ Ir) as (I2 & _).
      specialize (B r I2). specialize (B ltac:(congruence)). lia.
  - intros g [I|[<-|[]]]%in_app_or; auto.
  - intros g [I|[<-|[]]]%in_app_or.
    + destruct (A _ I) as [?|(N & f & If & Nf)]; auto.
      right; split; auto. exists f; split; [apply in_or_app|]; auto.
    + destruct X as [(O & L)|(r & R & L)].
      * right; split; auto.
        destruct (frontier_of_is_held (node (key h)) s) as [Z0|(r & Ir & N & E)]; [lia|].
        destruct (T _ Ir) as (I2 & _). exists r; split; [apply in_or_app; auto|split; [auto|lia]].
      * left. destruct (row_of_key _ _ _ R) as [K Ir]. exists r; auto.
Qed.

(** ** What replicas do with events *)

Section Replicas.
Variable holds : Incarnation -> bool.

Definition step (own : Incarnation) (s : Replica) (e : Event) : Replica :=
  match e with
  | Publish h => publish own s h
  | Arrive h => join own holds s h
  | Show c => join_conflict holds s c
  end.

Definition run (own : Incarnation) (events : list Event) : Replica := fold_left (step own) events empty.

(** Everything with a signature that an event brings. *)
Definition signed (e : Event) : list Head :=
  match e with Publish h | Arrive h => [h] | Show c => [first c; second c] end.

(** What an event lets a replica know: nobody else may write its own row, or one that the roster bars. *)
Definition known (own : Incarnation) (e : Event) : list Head :=
  match e with
  | Publish h => if same_key (key h) own && sealable h then [h] else []
  | Arrive h => if same_key (key h) own || negb (holds (key h)) || negb (sealable h) then [] else [h]
  | Show _ => []
  end.

Definition all_signed (events : list Event) : list Head := flat_map signed events.
Definition all_known (own : Incarnation) (events : list Event) : list Head := flat_map (known own) events.

Lemma known_is_signed : forall own events h, In h (all_known own events) -> In h (all_signed events).
Proof.
  intros own events h; unfold all_known, all_signed; rewrite !in_flat_map.
  intros (e & I & K); exists e; split; auto. destruct e; simpl in *; auto;
    (destruct (_ : bool) in K; simpl in K; tauto).
Qed.

Lemma honest_of_fewer : forall l m, honest m -> (forall h, In h l -> In h m) -> honest l.
Proof. intros l m H S g h I J; apply H; auto. Qed.

Lemma precedes_itself_not : forall h, precedes h h = false.
Proof. intros h; unfold precedes. rewrite !Z.ltb_irrefl, andb_false_r. reflexivity. Qed.

Lemma run_keeps_the_invariant : forall own events, honest (all_signed events) ->
  invariant own (all_known own events) (run own events).
Proof.
  intros own events; induction events as [|e events IH] using rev_ind; intros H.
  - repeat split; simpl; tauto.
  - unfold run, all_known in *. rewrite fold_left_app, flat_map_app; simpl. rewrite app_nil_r.
    assert (H' : honest (all_signed events)).
    { eapply honest_of_fewer; [exact H|]. intros h I; unfold all_signed; rewrite flat_map_app.
      apply in_or_app; auto. }
    specialize (IH H'). set (s := fold_left (step own) events empty) in *.
    set (heads := flat_map (known own) events) in *.
    assert (N : forall h, signed e = [h] -> honest (heads ++ [h])).
    { intros h E. eapply honest_of_fewer; [exact H|]. unfold all_signed; rewrite flat_map_app; simpl.
      rewrite app_nil_r, E. intros g [I|I]%in_app_or; apply in_or_app; auto.
      left; apply (known_is_signed own); auto. }
    destruct e as [h|h|c]; simpl.
    + unfold publish. destruct (same_key_spec (key h) own) as [E|E]; simpl; [|rewrite app_nil_r; exact IH].
      destruct (sealable h) eqn:S; simpl; [|rewrite app_nil_r; exact IH].
      set (have := match row_of own s with None => 0 | Some r => version r end).
      destruct (Z.ltb_spec have (version h)) as [L|L]; subst have.
      * apply put_keeps_the_invariant; auto. intros r R. rewrite E in R; rewrite R in L; exact L.
      * apply old_news_keep_the_invariant; auto. right. rewrite E.
        destruct (row_of own s) as [r|]; [exists r; auto|]. destruct (sealable_spec _ S); lia.
    + unfold join. destruct (same_key_spec (key h) own) as [E|E]; simpl; [rewrite app_nil_r; exact IH|].
      assert (C : in_conflict (key h) s = false)
        by (destruct IH as (C & _); unfold in_conflict; rewrite C; reflexivity).
      rewrite C; simpl. destruct (holds (key h)) eqn:M; simpl; [|rewrite app_nil_r; exact IH].
      destruct (sealable h) eqn:S; simpl; [|rewrite app_nil_r; exact IH].
      destruct (Z.ltb_spec (counter (key h)) (frontier_of (node (key h)) s)) as [L|L];
        [apply old_news_keep_the_invariant; auto|].
      destruct (row_of (key h) s) as [r|] eqn:R.
      * destruct (Z.ltb_spec (version h) (version r)) as [V|V].
        { apply old_news_keep_the_invariant; auto. right; exists r; split; [auto|lia]. }
        destruct (same_head_spec h r) as [->|D].
        { apply old_news_keep_the_invariant; auto. right; exists r; split; [auto|lia]. }
        destruct (Z.eqb_spec (version h) (version r)) as [Q|Q].
        -- exfalso. destruct (row_of_key _ _ _ R) as [K I]. destruct IH as (_ & _ & T & _).
           destruct (T _ I) as (I1 & _). apply D. symmetry.
           destruct (N h eq_refl r h) as [X _]; auto; apply in_or_app; simpl; auto.
        -- apply put_keeps_the_invariant; auto. intros r' E'. rewrite R in E'; injection E' as <-. lia.
      * apply put_keeps_the_invariant; auto. intros r' E'. rewrite R in E'; discriminate.
    + rewrite app_nil_r. unfold join_conflict. destruct (contradictory c) eqn:P; simpl; [|exact IH]. exfalso.
      unfold contradictory in P. rewrite !andb_true_iff in P. destruct P as ((K & V) & P).
      destruct (same_key_spec (key (first c)) (key (second c))) as [K'|]; [|discriminate].
      apply Z.eqb_eq in V. destruct (H (first c) (second c)) as [E _]; auto;
        try (unfold all_signed; rewrite flat_map_app; apply in_or_app; simpl; auto).
      rewrite (E V), precedes_itself_not in P; discriminate.
Qed.
End Replicas.
