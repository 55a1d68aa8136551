(** Rows and how a replica joins them: the model of [convergence_jax/partition/rows/replica.py].

    Modelled: [Replica._join], [join_conflict], [publish], [_put], [_frontier] and [excluded], with
    [Incarnation], [Head] and [Conflict] of [rows/row.py]. A node is a number; [rest] stands for all that a
    signature covers beside key, version and frontier: counts, final, roster, tokens and, by its digest, the
    cells. The roster stays the same; [holds] is its [_may_hold]. It says nothing about the own row, which
    [join_roster] leaves in the table too. A head arrives here only if its signature is its writer's; changes
    since a version, and what a relay can do to them, are in [RowChanges.v].

    Proved: the join of two things said under one key is commutative and idempotent, the later version wins
    and a conflict absorbs; it is associative where the writer does not contradict itself, else it is not. *)
From Coq Require Import ZArith List Bool Lia.
Import ListNotations.
Open Scope Z_scope.
Set Default Proof Using "Type".

Record Incarnation := incarnation { node : Z; counter : Z; nonce : Z }.
Record Head := head { key : Incarnation; version : Z; frontier : Z; rest : Z }.

Definition same_key (a b : Incarnation) : bool :=
  (node a =? node b) && (counter a =? counter b) && (nonce a =? nonce b).

Definition same_head (a b : Head) : bool :=
  same_key (key a) (key b) && (version a =? version b) && (frontier a =? frontier b) && (rest a =? rest b).

Lemma same_key_spec : forall a b, reflect (a = b) (same_key a b).
Proof.
  intros [n c x] [m d y]; unfold same_key; simpl.
  destruct (Z.eqb_spec n m), (Z.eqb_spec c d), (Z.eqb_spec x y); simpl; constructor; congruence.
Qed.

Lemma same_head_spec : forall a b, reflect (a = b) (same_head a b).
Proof.
  intros [k v f r] [l w g s]; unfold same_head; simpl.
  destruct (same_key_spec k l), (Z.eqb_spec v w), (Z.eqb_spec f g), (Z.eqb_spec r s);
    simpl; constructor; congruence.
Qed.

Lemma same_key_refl : forall k, same_key k k = true.
Proof. intros k; destruct (same_key_spec k k); congruence. Qed.

(** [messages.read]: a version from 1, and no number below 0, so that a frontier is at most the counter. *)
Definition sealable (h : Head) : bool :=
  (1 <=? version h) && (0 <=? frontier h) && (frontier h <=? counter (key h)).

Lemma sealable_spec : forall h, sealable h = true ->
  1 <= version h /\ 0 <= frontier h /\ frontier h <= counter (key h).
Proof. intros h; unfold sealable; rewrite !andb_true_iff, !Z.leb_le; lia. Qed.

(** * Proofs of a contradiction: [row.Conflict] and [row.conflict] *)

Record Conflict := pair_of { first : Head; second : Head }.

(** The order of two signed bodies of one key and version. *)
Definition precedes (a b : Head) : bool :=
  (frontier a <? frontier b) || ((frontier a =? frontier b) && (rest a <? rest b)).

Definition conflict (a b : Head) : Conflict := if precedes b a then pair_of b a else pair_of a b.

(** [Conflict.key]: one key, one version, and the smaller first. *)
Definition contradictory (c : Conflict) : bool :=
  same_key (key (first c)) (key (second c)) && (version (first c) =? version (second c))
  && precedes (first c) (second c).

Lemma precedes_total : forall a b, key a = key b -> version a = version b ->
  a = b \/ precedes a b = true \/ precedes b a = true.
Proof.
  intros [k v f r] [l w g s] K V; simpl in *; subst. unfold precedes; simpl.
  destruct (Z.ltb_spec f g), (Z.ltb_spec g f), (Z.eqb_spec f g), (Z.eqb_spec g f), (Z.ltb_spec r s),
    (Z.ltb_spec s r); simpl; auto; try lia.
  left; f_equal; lia.
Qed.

Lemma precedes_asym : forall a b, precedes a b = true -> precedes b a = false.
Proof.
  intros a b; unfold precedes.
  destruct (Z.ltb_spec (frontier a) (frontier b)), (Z.ltb_spec (frontier b) (frontier a)),
    (Z.eqb_spec (frontier a) (frontier b)), (Z.eqb_spec (frontier b) (frontier a)),
    (Z.ltb_spec (rest a) (rest b)), (Z.ltb_spec (rest b) (rest a)); simpl; auto; lia.
Qed.

Theorem a_proof_is_the_same_in_either_order : forall a b, key a = key b -> version a = version b ->
  conflict a b = conflict b a.
Proof.
  intros a b K V; unfold conflict.
  destruct (precedes_total a b K V) as [->|[H|H]]; [reflexivity| |];
    rewrite H, (precedes_asym _ _ H); reflexivity.
Qed.

Theorem two_rows_of_one_version_prove_a_conflict : forall a b, key a = key b -> version a = version b ->
  a <> b -> contradictory (conflict a b) = true.
Proof.
  intros a b K V D; unfold conflict.
  destruct (precedes_total a b K V) as [E|[H|H]]; [congruence| |]; [rewrite (precedes_asym _ _ H)|rewrite H];
    unfold contradictory; simpl; rewrite K, V, same_key_refl, Z.eqb_refl, H; reflexivity.
Qed.

(** * A replica *)

Record Replica := replica { table : list Head; conflicts : list Conflict }.

Definition empty : Replica := replica [] [].

Definition row_of (k : Incarnation) (s : Replica) : option Head :=
  find (fun h => same_key (key h) k) (table s).

Definition in_conflict (k : Incarnation) (s : Replica) : bool :=
  existsb (fun c => same_key (key (first c)) k) (conflicts s).

(** [Replica.excluded] *)
Definition excluded (n : Z) (s : Replica) : bool :=
  existsb (fun c => node (key (first c)) =? n) (conflicts s).

(** [Replica.rows], but for their order, while the roster holds the own incarnation: left out, its row stays
    in the table but does not count. *)
Definition rows (s : Replica) : list Head := filter (fun h => negb (excluded (node (key h)) s)) (table s).

(** [Replica._frontier] *)
Definition frontier_of (n : Z) (s : Replica) : Z :=
  fold_right Z.max 0 (map frontier (filter (fun h => node (key h) =? n) (table s))).

(** The rows that [Replica._put] drops: of earlier incarnations, but never the own one. *)
Definition absorbs (own : Incarnation) (h g : Head) : bool :=
  (node (key g) =? node (key h)) && (counter (key g) <? frontier h) && negb (same_key (key g) own).

(** [Replica._put] *)
Definition put (own : Incarnation) (h : Head) (s : Replica) : Replica :=
  replica (h :: filter (fun g => negb (same_key (key g) (key h) || absorbs own h g)) (table s)) (conflicts s).

(** [Replica._join], of a signed head *)
Definition join (own : Incarnation) (holds : Incarnation -> bool) (s : Replica) (h : Head) : Replica :=
  if same_key (key h) own || in_conflict (key h) s || negb (holds (key h)) || negb (sealable h)
     || (counter (key h) <? frontier_of (node (key h)) s)
  then s
  else match row_of (key h) s with
       | None => put own h s
       | Some r =>
           if version h <? version r then s
           else if same_head h r then s
           else if version h =? version r then replica (table s) (conflict r h :: conflicts s)
           else put own h s
       end.

(** [Replica.join_conflict], of a proof with two signatures that hold *)
Definition join_conflict (holds : Incarnation -> bool) (s : Replica) (c : Conflict) : Replica :=
  if negb (contradictory c) || in_conflict (key (first c)) s || negb (holds (key (first c))) then s
  else replica (table s) (c :: conflicts s).

(** [Replica.publish]: the code seals the version after the one that is there, so it is always put. *)
Definition publish (own : Incarnation) (s : Replica) (h : Head) : Replica :=
  if same_key (key h) own && sealable h
     && (match row_of own s with None => 0 | Some r => version r end <? version h)
  then put own h s else s.

(** * What is said under one key, without its table *)

Inductive Said := Nothing | Row (h : Head) | Contradicted.

(** What [join] makes of two things that were said under one key. *)
Definition both (a b : Said) : Said :=
  match a, b with
  | Contradicted, _ | _, Contradicted => Contradicted
  | Nothing, x => x
  | x, Nothing => x
  | Row h, Row g =>
      if version h <? version g then Row g
      else if version g <? version h then Row h
      else if same_head h g then Row h else Contradicted
  end.

Theorem both_is_idempotent : forall a, both a a = a.
Proof.
  intros [|h|]; simpl; auto. rewrite Z.ltb_irrefl. destruct (same_head_spec h h); congruence.
Qed.

Theorem both_is_commutative : forall a b, both a b = both b a.
Proof.
  intros [|h|] [|g|]; simpl; auto.
  destruct (Z.ltb_spec (version h) (version g)), (Z.ltb_spec (version g) (version h)); auto; try lia.
  destruct (same_head_spec h g), (same_head_spec g h); congruence.
Qed.

Theorem a_later_version_wins : forall h g, version h < version g -> both (Row h) (Row g) = Row g.
Proof. intros h g L; simpl. destruct (Z.ltb_spec (version h) (version g)); auto; lia. Qed.

Theorem a_conflict_absorbs : forall a, both Contradicted a = Contradicted.
Proof. intros [|h|]; reflexivity. Qed.

Theorem two_rows_of_one_version_are_a_conflict : forall h g, version h = version g -> h <> g ->
  both (Row h) (Row g) = Contradicted.
Proof.
  intros h g V D; simpl. rewrite V, Z.ltb_irrefl. destruct (same_head_spec h g); congruence.
Qed.

(** Two rows of one version never differ. *)
Definition consistent (a b : Said) : Prop :=
  match a, b with Row h, Row g => version h = version g -> h = g | _, _ => True end.

Theorem both_is_associative_where_no_writer_contradicts_itself : forall a b c,
  consistent a b -> consistent b c -> consistent a c -> both a (both b c) = both (both a b) c.
Proof.
  intros [|h|] [|g|] [|k|]; simpl; auto; intros AB BC AC;
    repeat (match goal with
      | |- context [version ?x <? version ?y] => destruct (Z.ltb_spec (version x) (version y))
      | |- context [same_head ?x ?y] => destruct (same_head_spec x y); subst
      end; simpl; auto; try lia);
    try (exfalso; match goal with D : ?x <> ?y |- _ =>
      apply D; solve [apply AB; lia | apply BC; lia | apply AC; lia
        | symmetry; apply AB; lia | symmetry; apply BC; lia | symmetry; apply AC; lia] end);
    try congruence.
Qed.

(** With a writer that contradicts itself it is not: the one replica met both rows of version 1 before that
    of version 2, the other did not. *)
Definition first_run : Incarnation := incarnation 1 1 0.
Definition one : Head := head first_run 1 1 10.
Definition other : Head := head first_run 1 1 20.
Definition later : Head := head first_run 2 1 30.

Example contradictions_are_not_associative :
  both (both (Row one) (Row other)) (Row later) = Contradicted
  /\ both (Row one) (both (Row other) (Row later)) = Row later.
Proof. split; reflexivity. Qed.

Example replicas_may_differ_until_they_exchange :
  let own := incarnation 2 1 0 in
  let join := join own (fun _ => true) in
  excluded 1 (fold_left join [one; other; later] empty) = true
  /\ excluded 1 (fold_left join [one; later; other] empty) = false.
Proof. split; reflexivity. Qed.

(** A writer that lowers its frontier signs no two rows of one version, and yet the order of arrivals counts:
    "does not contradict itself" must include that frontiers never fall. *)
Example a_frontier_that_falls_leaves_a_trace :
  let own := incarnation 2 1 0 in
  let join := join own (fun _ => true) in
  let old := head (incarnation 1 1 0) 1 1 10 in
  let high := head (incarnation 1 5 0) 1 5 20 in
  let low := head (incarnation 1 5 0) 2 0 30 in
  row_of (key old) (fold_left join [high; low; old] empty) = Some old
  /\ row_of (key old) (fold_left join [high; old; low] empty) = None.
Proof. split; reflexivity. Qed.

(** * How [join] and [both] fit together *)

(** What a replica goes by for one key. *)
Definition said (k : Incarnation) (s : Replica) : Said :=
  if in_conflict k s then Contradicted else match row_of k s with None => Nothing | Some h => Row h end.

Lemma row_of_put : forall own h s, row_of (key h) (put own h s) = Some h.
Proof. intros; unfold row_of, put; simpl. rewrite same_key_refl. reflexivity. Qed.

Lemma row_of_key : forall k s h, row_of k s = Some h -> key h = k /\ In h (table s).
Proof.
  unfold row_of; intros k s h F; apply find_some in F as [I E].
  destruct (same_key_spec (key h) k); auto; discriminate.
Qed.

(** A row that the roster lets in, and that no later incarnation has absorbed, is joined as [both] says. *)
Theorem join_is_both : forall own holds s h, key h <> own -> holds (key h) = true -> sealable h = true ->
  frontier_of (node (key h)) s <= counter (key h) ->
  said (key h) (join own holds s h) = both (said (key h) s) (Row h).
Proof.
  intros own holds s h O M S F; unfold join.
  destruct (same_key_spec (key h) own); [congruence|]. rewrite M, S; simpl.
  destruct (in_conflict (key h) s) eqn:C; simpl.
  - unfold said; rewrite C; reflexivity.
  - destruct (Z.ltb_spec (counter (key h)) (frontier_of (node (key h)) s)); [lia|].
    destruct (row_of (key h) s) as [r|] eqn:R; unfold said; rewrite C, R; simpl.
    + destruct (row_of_key _ _ _ R) as [K _].
      destruct (Z.ltb_spec (version h) (version r)).
      * rewrite C, R. destruct (Z.ltb_spec (version r) (version h)); auto; lia.
      * destruct (same_head_spec h r) as [->|D].
        -- rewrite C, R, Z.ltb_irrefl. destruct (same_head_spec r r); congruence.
        -- destruct (Z.eqb_spec (version h) (version r)) as [V|V].
           ++ rewrite V, Z.ltb_irrefl. destruct (same_head_spec r h); [congruence|].
              unfold in_conflict; simpl.
              replace (same_key (key (first (conflict r h))) (key h)) with true; auto.
              unfold conflict; destruct (precedes h r); simpl; rewrite ?K, same_key_refl; reflexivity.
           ++ destruct (Z.ltb_spec (version r) (version h)); [|lia].
              rewrite row_of_put. unfold in_conflict in *; simpl; rewrite C; reflexivity.
    + rewrite row_of_put. unfold in_conflict in *; simpl; rewrite C; reflexivity.
Qed.
