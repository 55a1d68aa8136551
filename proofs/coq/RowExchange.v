(** Strong eventual consistency of the rows of writers that do not contradict themselves.

    Models [Replica.join] and [publish] of [convergence_jax/partition/rows/replica.py] over whole runs, and
    [gossip.receive] of another replica's table.

    Proved: which rows a replica holds is decided by the set of rows that it has met, so replicas that have
    met the same rows hold the same; the order and number of arrivals leave no trace; what was met is never
    lost; meeting more never takes back; joining the table of another replica joins all that it had met. *)
From Coq Require Import ZArith List Bool Lia.
From Convergence Require Import Rows RowInvariant.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

Section Replicas.
Variable holds : Incarnation -> bool.
Notation step := (RowInvariant.step holds).
Notation run := (RowInvariant.run holds).
Notation all_known := (RowInvariant.all_known holds).

(** ** What follows from it *)

Theorem rows_are_decided_by_what_was_met : forall own events h, honest (all_signed events) ->
  (In h (table (run own events)) <-> stands own (all_known own events) h).
Proof.
  intros own events h H. destruct (run_keeps_the_invariant holds own events H) as (_ & _ & T & F & A).
  split; [apply T|]. intros (I & M & B). destruct (A h I) as [(r & R & K)|(N & f & If & Nf & Lf)].
  - destruct (T r R) as (Ir & Mr & _). assert (version h = version r).
    { specialize (M r Ir K). specialize (Mr h I (eq_sym K)). lia. }
    destruct (H h r) as [E _]; try (apply (known_is_signed holds own); assumption); auto.
    rewrite (E ltac:(assumption)); exact R.
  - destruct B as [B|B]; [congruence|]. specialize (B f If Nf). lia.
Qed.

Theorem an_honest_writer_is_never_excluded : forall own events, honest (all_signed events) ->
  conflicts (run own events) = [].
Proof. intros own events H. apply (run_keeps_the_invariant holds own events H). Qed.

Lemma stands_needs_only_the_set : forall own l m h, (forall g, In g l <-> In g m) ->
  (stands own l h <-> stands own m h).
Proof. clear holds; intros own l m h E; unfold stands; split; intros (I & M & B); firstorder. Qed.

(** Strong eventual consistency: late, lost, repeated and reordered messages leave no trace. *)
Theorem the_same_rows_met_are_the_same_rows_held : forall own l m,
  honest (all_signed l) -> honest (all_signed m) ->
  (forall h, In h (all_known own l) <-> In h (all_known own m)) ->
  forall h, In h (table (run own l)) <-> In h (table (run own m)).
Proof.
  intros own l m Hl Hm E h. rewrite !rows_are_decided_by_what_was_met by auto.
  apply stands_needs_only_the_set; auto.
Qed.

Corollary the_order_and_number_of_arrivals_leave_no_trace : forall own l m, honest (all_signed l) ->
  (forall e, In e l <-> In e m) -> forall h, In h (table (run own l)) <-> In h (table (run own m)).
Proof.
  intros own l m H E. apply the_same_rows_met_are_the_same_rows_held; auto.
  - eapply honest_of_fewer; [exact H|]. intros h; unfold all_signed; rewrite !in_flat_map. firstorder.
  - intros h; unfold all_known; rewrite !in_flat_map. firstorder.
Qed.

(** At most one row a key: the table is the dict that the code has. *)
Theorem one_row_a_key : forall own events g h, honest (all_signed events) ->
  In g (table (run own events)) -> In h (table (run own events)) -> key g = key h -> g = h.
Proof.
  intros own events g h H Ig Ih K. rewrite rows_are_decided_by_what_was_met in Ig, Ih by auto.
  destruct Ig as (I1 & M1 & _), Ih as (I2 & M2 & _).
  destruct (H g h) as [E _]; try (apply (known_is_signed holds own); assumption); auto.
  apply E. specialize (M1 h I2 (eq_sym K)); specialize (M2 g I1 K); lia.
Qed.

Corollary the_same_row_under_every_key : forall own l m, honest (all_signed l) ->
  (forall e, In e l <-> In e m) -> forall k, row_of k (run own l) = row_of k (run own m).
Proof.
  intros own l m H E k.
  assert (Hm : honest (all_signed m)).
  { eapply honest_of_fewer; [exact H|]. intros h; unfold all_signed; rewrite !in_flat_map. firstorder. }
  pose proof (the_order_and_number_of_arrivals_leave_no_trace own l m H E) as S.
  destruct (row_of k (run own l)) as [g|] eqn:G, (row_of k (run own m)) as [h|] eqn:R; auto.
  - destruct (row_of_key _ _ _ G) as [K1 I1], (row_of_key _ _ _ R) as [K2 I2].
    f_equal. apply (one_row_a_key own m); auto; [apply S; auto|congruence].
  - destruct (row_of_key _ _ _ G) as [K1 I1]. exfalso; apply (row_of_none _ _ R g); auto. apply S; auto.
  - destruct (row_of_key _ _ _ R) as [K2 I2]. exfalso; apply (row_of_none _ _ G h); auto. apply S; auto.
Qed.

(** [h] holds what [g] held: a later version of it, or an incarnation that has absorbed it. *)
Definition covers (h g : Head) : Prop :=
  node (key h) = node (key g) /\ (key h = key g /\ version g <= version h \/ counter (key g) < frontier h).

Theorem what_was_met_is_never_lost : forall own events g, honest (all_signed events) ->
  In g (all_known own events) -> exists h, In h (table (run own events)) /\ covers h g.
Proof.
  intros own events g H I. destruct (run_keeps_the_invariant holds own events H) as (_ & _ & T & F & A).
  destruct (A g I) as [(r & R & K)|(N & f & If & Nf & Lf)].
  - exists r; split; auto. destruct (T r R) as (_ & M & _). split; [congruence|]. auto.
  - destruct (F f If) as (r & R & Nr & Lr). exists r; split; auto. split; [congruence|]. right; lia.
Qed.

(** The join is monotone: whatever else arrives, each row that is held now is covered ever after. *)
Theorem no_row_goes_back : forall own l m g, honest (all_signed (l ++ m)) -> In g (table (run own l)) ->
  exists h, In h (table (run own (l ++ m))) /\ covers h g.
Proof.
  intros own l m g H I. apply what_was_met_is_never_lost; auto.
  unfold all_known; rewrite flat_map_app; apply in_or_app; left.
  apply (rows_are_decided_by_what_was_met own l); auto.
  eapply honest_of_fewer; [exact H|]. intros h J.
  unfold all_signed; rewrite flat_map_app; apply in_or_app; auto.
Qed.

(** What a writer released is in each row that covers its row, so an acknowledged release is in some row. *)
Corollary no_release_is_lost : forall (release : Type) (contents : Head -> release -> Prop) own events g x,
  honest (all_signed events) -> (forall f h, covers h f -> forall y, contents f y -> contents h y) ->
  In g (all_known own events) -> contents g x ->
  exists h, In h (table (run own events)) /\ contents h x.
Proof.
  intros release contents own events g x H C I X.
  destruct (what_was_met_is_never_lost own events g H I) as (h & J & K). exists h; split; eauto.
Qed.

(** ** Replicas that tell each other their tables *)

(** [gossip.receive]: the rows of another replica, joined. *)
Definition told (own : Incarnation) (s : Replica) (rows : list Head) : Replica :=
  fold_left (join own holds) rows s.

Lemma told_is_a_run : forall own l rows, told own (run own l) rows = run own (l ++ map Arrive rows).
Proof.
  intros own l rows; unfold told, run. rewrite fold_left_app. generalize (fold_left (step own) l empty).
  induction rows as [|h rows IH]; intros s; simpl; auto.
Qed.

(** The join of whole replicas is idempotent. *)
Theorem a_replica_learns_nothing_from_itself : forall own l h, honest (all_signed l) ->
  (In h (table (told own (run own l) (table (run own l)))) <-> In h (table (run own l))).
Proof.
  intros own l h H. destruct (run_keeps_the_invariant holds own l H) as (_ & _ & T & _ & _).
  rewrite told_is_a_run. set (rows := table (run own l)) in *.
  assert (Sub : forall g, In g rows -> In g (all_known own l)) by (intros g I; apply (T g I)).
  apply the_same_rows_met_are_the_same_rows_held; auto.
  - eapply honest_of_fewer; [exact H|]. intros g. unfold all_signed at 1. rewrite flat_map_app.
    intros [I|I]%in_app_or; auto. apply in_flat_map in I as (e & (r & <- & R)%in_map_iff & [<-|[]]).
    apply (known_is_signed holds own); auto.
  - intros g. unfold RowInvariant.all_known at 1. rewrite flat_map_app, in_app_iff.
    split; [|auto]. intros [I|I]; auto. apply in_flat_map in I as (e & (r & <- & R)%in_map_iff & K).
    simpl in K. destruct (_ : bool) in K; simpl in K; [contradiction|]. destruct K as [<-|[]]; auto.
Qed.

Lemma a_table_stands_for_all_that_it_covers : forall own x y, honest y ->
  (forall h, In h x -> In h y) ->
  (forall g, In g y -> exists h, In h x /\ node (key h) = node (key g) /\ frontier g <= frontier h) ->
  (forall g, In g y -> (exists h, In h x /\ key h = key g /\ version g <= version h)
     \/ (key g <> own /\ exists h, In h x /\ node (key h) = node (key g) /\ counter (key g) < frontier h)) ->
  forall h, stands own x h <-> stands own y h.
Proof.
  intros own x y H S F A h; split; intros (I & M & B).
  - split; [auto|]. split.
    + intros g J K. destruct (A g J) as [(r & R & Kr & V)|(N & f & If & Nf & Lf)].
      * specialize (M r R ltac:(congruence)). lia.
      * destruct B as [B|B]; [congruence|]. specialize (B f If). rewrite Nf, K in B.
        rewrite K in Lf. specialize (B eq_refl). lia.
    + destruct B as [B|B]; auto. right. intros g J N. destruct (F g J) as (r & R & Nr & Lr).
      specialize (B r R ltac:(congruence)). lia.
  - split; [|split; [auto|destruct B as [B|B]; auto]].
    destruct (A h I) as [(r & R & Kr & V)|(N & f & If & Nf & Lf)].
    + specialize (M r (S r R) Kr). destruct (H h r) as [E _]; auto. rewrite E; [exact R|lia].
    + destruct B as [B|B]; [congruence|]. specialize (B f (S f If) Nf). lia.
Qed.

(** A row of the own incarnation that another replica has was published here. *)
Definition own_rows_are_own (own : Incarnation) (here there : list Head) : Prop :=
  forall h, In h there -> key h = own -> In h here.

Theorem a_table_tells_all_that_its_replica_met : forall own other l m,
  honest (all_signed l ++ all_signed m) ->
  own_rows_are_own own (all_known own l) (all_known other m) ->
  (forall h, In h (all_known other m) -> holds (key h) = true) ->
  forall h, In h (table (told own (run own l) (table (run other m))))
        <-> stands own (all_known own l ++ all_known other m) h.
Proof.
  intros own other l m H O M h.
  assert (Hl : honest (all_signed l))
    by (eapply honest_of_fewer; [exact H|intros; apply in_or_app; auto]).
  assert (Hm : honest (all_signed m))
    by (eapply honest_of_fewer; [exact H|intros; apply in_or_app; auto]).
  destruct (run_keeps_the_invariant holds other m Hm) as (_ & W & T & F & A).
  set (s := run other m) in *. rewrite told_is_a_run.
  assert (Sub : forall g, In g (table s) -> In g (all_known other m)) by (intros g I; apply (T g I)).
  assert (Signed : forall rows, all_signed (map Arrive rows) = rows)
    by (induction rows as [|x t IH]; simpl; f_equal; auto).
  rewrite rows_are_decided_by_what_was_met.
  2: { eapply honest_of_fewer; [exact H|]. unfold all_signed at 1; rewrite flat_map_app.
       fold (all_signed l) (all_signed (map Arrive (table s))). rewrite Signed.
       intros g [I|I]%in_app_or; apply in_or_app; auto. right; apply (known_is_signed holds other); auto. }
  assert (Known : forall g, In g (all_known own (l ++ map Arrive (table s))) <->
            In g (all_known own l ++ table s)).
  { intros g. unfold all_known; rewrite flat_map_app, !in_app_iff.
    split; (intros [I|I]; [auto|]).
    - right. apply in_flat_map in I as (e & (r & <- & R)%in_map_iff & K). simpl in K.
      destruct (_ : bool) in K; simpl in K; intuition congruence.
    - destruct (same_key_spec (key g) own) as [E|E]; [left; apply O; auto|right].
      apply in_flat_map. exists (Arrive g); split; [apply in_map; auto|]. simpl.
      destruct (same_key_spec (key g) own); [congruence|]. rewrite M, W by auto. simpl; auto. }
  rewrite (stands_needs_only_the_set own _ _ h Known).
  apply a_table_stands_for_all_that_it_covers.
  - eapply honest_of_fewer; [exact H|]. intros g [I|I]%in_app_or; apply in_or_app;
      [left; apply (known_is_signed holds own)|right; apply (known_is_signed holds other)]; auto.
  - intros g [I|I]%in_app_or; apply in_or_app; auto.
  - intros g [I|I]%in_app_or; [exists g; split; [apply in_or_app; auto|split; [auto|lia]]|].
    destruct (F g I) as (r & R & N & L). exists r; split; [apply in_or_app|]; auto.
  - intros g [I|I]%in_app_or; [left; exists g; split; [apply in_or_app; auto|split; [auto|lia]]|].
    destruct (same_key_spec (key g) own) as [E|E].
    { left; exists g; split; [apply in_or_app; left; apply O; auto|split; [auto|lia]]. }
    destruct (A g I) as [(r & R & K)|(N & f & If & Nf & Lf)].
    + left; exists r; split; [apply in_or_app; auto|]. split; auto. apply (T r R); auto.
    + right; split; auto. destruct (F f If) as (r & R & Nr & Lr).
      exists r; split; [apply in_or_app; auto|]. split; [congruence|lia].
Qed.

Lemma unless_superseded_all_are_alike : forall own other heads h,
  (forall g, In g heads -> node (key g) = node own -> frontier g <= counter own) ->
  stands own heads h -> stands other heads h.
Proof.
  intros own other heads h N (I & M & [B|B]); (split; [auto|split; [auto|]]); auto.
  right. intros g J E. rewrite B in *. auto.
Qed.

(** Two replicas that told each other their tables hold the same rows, as long as neither is superseded. *)
Theorem replicas_that_exchanged_hold_the_same : forall a b l m,
  honest (all_signed l ++ all_signed m) ->
  own_rows_are_own a (all_known a l) (all_known b m) -> own_rows_are_own b (all_known b m) (all_known a l) ->
  (forall h, In h (all_known a l ++ all_known b m) -> holds (key h) = true) ->
  (forall own, own = a \/ own = b -> forall g, In g (all_known a l ++ all_known b m) ->
     node (key g) = node own -> frontier g <= counter own) ->
  forall h, In h (table (told a (run a l) (table (run b m))))
        <-> In h (table (told b (run b m) (table (run a l)))).
Proof.
  intros a b l m H Oa Ob M N h.
  assert (H' : honest (all_signed m ++ all_signed l)).
  { eapply honest_of_fewer; [exact H|]. intros g; rewrite !in_app_iff; tauto. }
  rewrite !a_table_tells_all_that_its_replica_met; auto with datatypes.
  rewrite (stands_needs_only_the_set b (all_known b m ++ all_known a l) (all_known a l ++ all_known b m))
    by (intros; rewrite !in_app_iff; tauto).
  split; apply unless_superseded_all_are_alike; auto.
Qed.
End Replicas.
