(** The carries of the code, looked ahead in log2(L) steps, are those of a ripple.

    Models convergence_jax.exact.digits.normalize as it is written: [_shift_up], the local passes, the lending
    of one unit to each digit, carry lookahead (Kogge and Stone, 1973), and the short cut for two digits.

    Proves: for every length, and all lanes from -2^63 up to 2^63, the digits are those of the ripple of
    Residues.v, so of the value; and what is in flight stays in [int64]. *)
From Coq Require Import ZArith List Lia Bool.
From Convergence Require Import Constants Residues Plans Floats.
Import ListNotations.
Open Scope Z_scope.

(** ** The model *)

(** [_shift_up]. *)
Definition shift_up {A : Type} (amount : nat) (fill : A) (x : list A) : list A :=
  firstn (length x) (repeat fill amount ++ x).

(** One local pass. *)
Definition local_pass (x : list Z) : list Z :=
  pairwise Z.add (map (fun v => Z.land v DIGIT_MASK) x) (shift_up 1 0 (map (fun v => Z.shiftr v DIGIT_BITS)
    x)).

(** [unlend]: minus what was lent, in digits. *)
Definition unlend (L : nat) : list Z := firstn L (0 :: BASE - 1 :: repeat (BASE - 2) L).

(** The loop over [step]; [fuel] bounds its turns. *)
Fixpoint look_ahead (fuel step : nat) (generate propagate : list bool) : list bool :=
  match fuel with
  | O => generate
  | S fuel =>
      if (step <? length generate)%nat then
        look_ahead fuel (2 * step)
          (pairwise orb generate (pairwise andb propagate (shift_up step false generate)))
          (pairwise andb propagate (shift_up step false propagate))
      else generate
  end.

Definition carry_bit (b : bool) : Z := if b then 1 else 0.

Definition settled (lanes : list Z) : list Z :=
  let lent := pairwise Z.add (local_pass lanes) (map (fun u => u + BASE) (unlend (length lanes))) in
  local_pass (local_pass lent).

Definition normalize_by_lookahead (lanes : list Z) : list Z :=
  match lanes with
  | [low; high] =>
      let word := wrap64 (low + wrap64 (Z.shiftl high DIGIT_BITS)) in
      [Z.land word DIGIT_MASK; Z.land (Z.shiftr word DIGIT_BITS) DIGIT_MASK]
  | _ =>
      let x := settled lanes in
      let generate := look_ahead (length x) 1 (map (fun v => DIGIT_MASK <? v) x) (map (Z.eqb DIGIT_MASK) x) in
      map (fun v => Z.land v DIGIT_MASK) (pairwise Z.add x (map carry_bit (shift_up 1 false generate)))
  end.

(** ** Lists *)

Lemma shift_up_length : forall A n (d : A) x, length (shift_up n d x) = length x.
Proof. intros. unfold shift_up. rewrite firstn_length, app_length. lia. Qed.

Lemma nth_firstn : forall A (d : A) n l i, (i < n)%nat -> nth i (firstn n l) d = nth i l d.
Proof. induction n; intros l i Hi; [lia|]. destruct l, i; cbn; try reflexivity. apply IHn. lia. Qed.

Lemma nth_shift_up : forall A (d : A) n x i, (i < length x)%nat ->
  nth i (shift_up n d x) d = if (i <? n)%nat then d else nth (i - n) x d.
Proof.
  intros. unfold shift_up. rewrite nth_firstn by assumption. destruct (Nat.ltb_spec i n).
  - rewrite app_nth1 by (rewrite repeat_length; lia). apply nth_repeat.
  - rewrite app_nth2, repeat_length by (rewrite repeat_length; lia). reflexivity.
Qed.

Lemma nth_pairwise : forall A B C (f : A -> B -> C) a b (da : A) (db : B) i, length a = length b ->
  nth i (pairwise f a b) (f da db) = f (nth i a da) (nth i b db).
Proof.
  intros. unfold pairwise.
  change (f da db) with ((fun p => f (fst p) (snd p)) (da, db)).
  rewrite map_nth, combine_nth by assumption. reflexivity.
Qed.

Lemma nth_or : forall a b i, length a = length b ->
  nth i (pairwise orb a b) false = nth i a false || nth i b false.
Proof. intros. apply (nth_pairwise _ _ _ orb a b false false). assumption. Qed.

Lemma nth_and : forall a b i, length a = length b ->
  nth i (pairwise andb a b) false = nth i a false && nth i b false.
Proof. intros. apply (nth_pairwise _ _ _ andb a b false false). assumption. Qed.

(** ** Lookahead *)

(** The carry into each digit, one after the other. *)
Fixpoint carry (c : bool) (g p : nat -> bool) (i : nat) : bool :=
  match i with O => c | S j => g j || (p j && carry c g p j) end.

Section Carries.
Variables g p : nat -> bool.
Let c := carry false g p.

(** After the turns up to [step], [generate] knows the carries that begin within [step] digits. *)
Lemma look_ahead_finds_carries : forall fuel step generate propagate,
  (1 <= step)%nat -> length propagate = length generate -> (length generate <= step + fuel)%nat ->
  (forall i, (i < length generate)%nat ->
    c (S i) = nth i generate false || (nth i propagate false && c (S i - step))) ->
  length (look_ahead fuel step generate propagate) = length generate
  /\ forall i, (i < length generate)%nat -> nth i (look_ahead fuel step generate propagate) false = c (S i).
Proof using Type.
  induction fuel as [|fuel IH]; intros step generate propagate Hs Hl Hf Hinv; cbn [look_ahead].
  - split; [reflexivity|]. intros i Hi. rewrite Hinv by assumption.
    replace (S i - step)%nat with O by lia. cbn. rewrite andb_false_r, orb_false_r. reflexivity.
  - destruct (Nat.ltb_spec step (length generate)) as [H|H].
    + set (g' := pairwise orb generate (pairwise andb propagate (shift_up step false generate))).
      set (p' := pairwise andb propagate (shift_up step false propagate)).
      assert (La : length (pairwise andb propagate (shift_up step false generate)) = length generate)
        by (apply pairwise_length; rewrite ?shift_up_length; congruence).
      assert (Lg : length g' = length generate) by (apply pairwise_length; congruence).
      assert (Lp : length p' = length generate) by (apply pairwise_length; rewrite ?shift_up_length;
        congruence).
      rewrite <- Lg. apply IH; rewrite ?Lg; try lia.
      intros i Hi. unfold g', p'.
      rewrite nth_or, !nth_and by (rewrite ?La, ?shift_up_length; congruence).
      rewrite !nth_shift_up by (rewrite ?Hl; assumption).
      rewrite Hinv by assumption. destruct (Nat.ltb_spec i step) as [Hi2|Hi2].
      * replace (S i - step)%nat with O by lia. cbn [c carry]. unfold c. cbn [carry].
        rewrite !andb_false_r, !orb_false_r. reflexivity.
      * replace (S i - step)%nat with (S (i - step)) by lia. rewrite (Hinv (i - step)%nat) by lia.
        replace (S (i - step) - step)%nat with (S i - 2 * step)%nat by lia.
        destruct (nth i generate false), (nth i propagate false), (nth (i - step) generate false);
          reflexivity.
    + split; [reflexivity|]. intros i Hi. rewrite Hinv by assumption.
      replace (S i - step)%nat with O by lia. cbn. rewrite andb_false_r, orb_false_r. reflexivity.
Qed.
End Carries.

Definition generates (v : Z) : bool := DIGIT_MASK <? v.
Definition propagates (v : Z) : bool := DIGIT_MASK =? v.

Fixpoint carries (c : bool) (l : list Z) : list bool :=
  match l with [] => [] | v :: rest => c :: carries (generates v || (propagates v && c)) rest end.

Lemma carries_length : forall l c, length (carries c l) = length l.
Proof. induction l; intros; cbn; auto. Qed.

Lemma carry_shift : forall g p c i, carry c g p (S i)
  = carry (g O || (p O && c)) (fun j => g (S j)) (fun j => p (S j)) i.
Proof. induction i as [|i IH]; [reflexivity|]. cbn [carry] in *. rewrite IH. reflexivity. Qed.

Lemma nth_carries : forall l c i, (i < length l)%nat ->
  nth i (carries c l) false = carry c (fun j => nth j (map generates l) false) (fun j => nth j (map
    propagates l) false) i.
Proof.
  induction l as [|v l IH]; intros c i Hi; cbn [length] in Hi; [lia|].
  destruct i as [|i]; [reflexivity|]. rewrite carry_shift. cbn [carries nth map]. apply IH. lia.
Qed.

(** Digits up to BASE carry at most one. *)
Lemma ripple_by_carries : forall l c, Forall (fun v => 0 <= v <= BASE) l ->
  ripple (carry_bit c) l = map (fun v => v mod BASE) (pairwise Z.add l (map carry_bit (carries c l))).
Proof.
  intros l c H. revert c. induction H as [|v l Hv H IH]; intros c; [reflexivity|].
  cbn [ripple carries map].
  change (pairwise Z.add (v :: l) (carry_bit c :: map carry_bit (carries (generates v || propagates v && c)
    l)))
    with ((v + carry_bit c) :: pairwise Z.add l (map carry_bit (carries (generates v || propagates v && c)
      l))).
  cbn [map]. rewrite <- IH. f_equal. f_equal.
  assert (HB : DIGIT_MASK = BASE - 1) by reflexivity. assert (2 < BASE) by reflexivity.
  unfold generates, propagates. rewrite HB. symmetry.
  destruct (Z.ltb_spec (BASE - 1) v), (Z.eqb_spec (BASE - 1) v), c; cbn [orb andb carry_bit];
    first [ apply Z.div_unique with (v + 1 - BASE); lia | apply Z.div_unique with (v - BASE); lia
          | apply Z.div_unique with (v + 1); lia | apply Z.div_unique with v; lia
          | apply Z.div_unique with (v + 0 - BASE); lia | apply Z.div_unique with (v + 0); lia ].
Qed.

(** ** The local passes *)

Lemma value_firstn : forall L l, (L <= length l)%nat ->
  exists k, value (firstn L l) = value l + k * modulus L.
Proof.
  intros L l H. exists (- value (skipn L l)). rewrite <- (firstn_skipn L l) at 2. rewrite value_app.
  rewrite firstn_length_le by assumption. unfold modulus. ring.
Qed.

Lemma value_shift_up : forall x, exists k, value (shift_up 1 0 x) = BASE * value x + k * modulus (length x).
Proof.
  intros x. destruct (value_firstn (length x) (repeat 0 1 ++ x)) as [k Hk]; [rewrite app_length; lia|].
  exists k. unfold shift_up. rewrite Hk. reflexivity.
Qed.

Lemma local_pass_length : forall x, length (local_pass x) = length x.
Proof. intros. apply pairwise_length; rewrite ?shift_up_length, map_length; reflexivity. Qed.

Lemma value_of_parts : forall x,
  value (map (fun v => Z.land v DIGIT_MASK) x) + BASE * value (map (fun v => Z.shiftr v DIGIT_BITS) x)
    = value x.
Proof.
  induction x as [|v x IH]; [reflexivity|]. cbn [map value].
  rewrite mask_is_mod, Z.shiftr_div_pow2 by discriminate.
  change (2 ^ DIGIT_BITS) with BASE. pose proof (Z.div_mod v BASE ltac:(discriminate)). lia.
Qed.

Lemma digits_of_local_pass : forall x, digits (length x) (value (local_pass x)) = digits (length x) (value x).
Proof.
  intros x. unfold local_pass.
  rewrite value_pairwise_add by (rewrite shift_up_length, !map_length; reflexivity).
  destruct (value_shift_up (map (fun v => Z.shiftr v DIGIT_BITS) x)) as [k ->]. rewrite map_length.
  rewrite Z.add_assoc, value_of_parts. apply digits_cong.
Qed.

(** Every digit after a pass is a remainder and what the one below carries. *)
Lemma local_pass_bounds : forall x low high, low <= 0 -> 0 <= high ->
  Forall (fun v => low <= v / BASE <= high) x -> Forall (fun v => low <= v <= BASE - 1 + high) (local_pass x).
Proof.
  intros x low high Hl Hh H. apply Forall_forall. intros v Hv. unfold local_pass, pairwise in Hv.
  apply in_map_iff in Hv as [[a b] [<- Hab]]. cbn [fst snd].
  pose proof (in_combine_l _ _ _ _ Hab) as Ha. pose proof (in_combine_r _ _ _ _ Hab) as Hb.
  apply in_map_iff in Ha as [u [<- _]]. rewrite mask_is_mod.
  pose proof (Z.mod_pos_bound u BASE eq_refl).
  assert (low <= b <= high); [|lia]. clear Hab. unfold shift_up in Hb.
  assert (In b (0 :: map (fun v => Z.shiftr v DIGIT_BITS) x)) as I.
  { revert Hb. generalize (length (map (fun v => Z.shiftr v DIGIT_BITS) x)). intros n Hb.
    rewrite <- (firstn_skipn n (0 :: _)). apply in_or_app. left. exact Hb. }
  destruct I as [<-|I]; [lia|]. apply in_map_iff in I as [w [<- Hw]].
  rewrite Z.shiftr_div_pow2 by discriminate. rewrite Forall_forall in H. exact (H w Hw).
Qed.

(** ** Lending *)

Lemma unlend_length : forall L, length (unlend L) = L.
Proof. intros. unfold unlend. rewrite firstn_length. cbn [length]. rewrite repeat_length. lia. Qed.

Lemma value_of_lent_repeat : forall L, value (repeat (2 * BASE - 2) L) = 2 * modulus L - 2.
Proof.
  induction L as [|L IH]; [reflexivity|]. cbn [repeat value]. rewrite IH, modulus_succ. ring.
Qed.

(** What is lent is taken off: together a multiple of the modulus. *)
Lemma lending_adds_nothing : forall L, exists k,
  value (map (fun u => u + BASE) (unlend L)) = k * modulus L.
Proof.
  intros L. unfold unlend. rewrite <- firstn_map. cbn [map].
  destruct (value_firstn L (0 + BASE :: BASE - 1 + BASE :: map (fun u => u + BASE) (repeat (BASE - 2) L)))
    as [k ->].
  { cbn [length]. rewrite map_length, repeat_length. lia. }
  assert (E : map (fun u => u + BASE) (repeat (BASE - 2) L) = repeat (2 * BASE - 2) L).
  { clear. induction L as [|L IH]; [reflexivity|]. cbn [repeat map]. rewrite IH. reflexivity. }
  exists (2 * BASE * BASE + k). cbn [value]. rewrite E, value_of_lent_repeat. ring.
Qed.

Lemma unlend_bounds : forall L, Forall (fun u => 0 <= u <= BASE - 1) (unlend L).
Proof.
  intros L. assert (H : Forall (fun u => 0 <= u <= BASE - 1) (0 :: BASE - 1 :: repeat (BASE - 2) L)).
  { assert (2 < BASE) by reflexivity. constructor; [lia|]. constructor; [lia|].
    apply Forall_forall. intros u Hu. apply repeat_spec in Hu. lia. }
  rewrite <- (firstn_skipn L) in H. apply Forall_app in H as [H _]. exact H.
Qed.

Lemma quotient_bounds : forall v low high, low * BASE <= v < (high + 1) * BASE -> low <= v / BASE <= high.
Proof.
  intros v low high H. split.
  - apply Z.div_le_lower_bound; [reflexivity | lia].
  - apply Z.lt_succ_r. apply Z.div_lt_upper_bound; [reflexivity | lia].
Qed.

Definition fits_int64 (v : Z) : Prop := - 2 ^ 63 <= v < 2 ^ 63.

(** After lending and the passes: at most BASE each, the same residue. *)
Theorem settled_lanes : forall lanes, Forall fits_int64 lanes ->
  length (settled lanes) = length lanes
  /\ Forall (fun v => 0 <= v <= BASE) (settled lanes)
  /\ digits (length lanes) (value (settled lanes)) = digits (length lanes) (value lanes).
Proof.
  intros lanes H. unfold settled. set (L := length lanes).
  set (first := local_pass lanes).
  set (lent := pairwise Z.add first (map (fun u => u + BASE) (unlend L))).
  assert (HB : BASE = 4294967296) by reflexivity.
  assert (L1 : length first = L) by apply local_pass_length.
  assert (L2 : length lent = L) by (apply pairwise_length; rewrite ?map_length, ?unlend_length; auto).
  assert (B1 : Forall (fun v => - 2 ^ 31 <= v <= BASE - 1 + (2 ^ 31 - 1)) first).
  { apply local_pass_bounds; [lia..|]. eapply Forall_impl; [|exact H]. intros v Hv. unfold fits_int64 in Hv.
    apply quotient_bounds. rewrite HB. lia. }
  assert (B2 : Forall (fun v => 0 <= v < 4 * BASE) lent).
  { apply Forall_forall. intros v Hv. unfold lent, pairwise in Hv.
    apply in_map_iff in Hv as [[a b] [<- Hab]]. cbn [fst snd].
    pose proof (in_combine_l _ _ _ _ Hab) as Ha. pose proof (in_combine_r _ _ _ _ Hab) as Hb.
    apply in_map_iff in Hb as [u [<- Hu]]. pose proof (unlend_bounds L) as U.
    rewrite Forall_forall in B1, U. specialize (B1 _ Ha). specialize (U _ Hu). cbv beta in B1, U. lia. }
  assert (B3 : Forall (fun v => 0 <= v <= BASE - 1 + 3) (local_pass lent)).
  { apply local_pass_bounds; [lia..|]. eapply Forall_impl; [|exact B2]. intros v Hv. cbv beta in Hv.
    apply quotient_bounds. lia. }
  split; [rewrite !local_pass_length; exact L2|]. split.
  - eapply Forall_impl; [|apply (local_pass_bounds (local_pass lent) 0 1); [lia | lia |]].
    + intros v Hv. cbv beta in Hv. lia.
    + eapply Forall_impl; [|exact B3]. intros v Hv. cbv beta in Hv. apply quotient_bounds. lia.
  - pose proof (digits_of_local_pass (local_pass lent)) as E3. rewrite local_pass_length, L2 in E3.
    rewrite E3.
    pose proof (digits_of_local_pass lent) as E2. rewrite L2 in E2. rewrite E2. unfold lent.
    rewrite value_pairwise_add by (rewrite map_length, unlend_length; exact L1).
    destruct (lending_adds_nothing L) as [k ->]. rewrite digits_cong. apply digits_of_local_pass.
Qed.

(** ** The whole *)

Lemma lookahead_of_settled : forall x, Forall (fun v => 0 <= v <= BASE) x ->
  map (fun v => Z.land v DIGIT_MASK) (pairwise Z.add x (map carry_bit (shift_up 1 false
    (look_ahead (length x) 1 (map (fun v => DIGIT_MASK <? v) x) (map (Z.eqb DIGIT_MASK) x)))))
  = digits (length x) (value x).
Proof.
  intros x H. rewrite <- normalize_is_digits_of_value. unfold normalize.
  change 0 with (carry_bit false). rewrite ripple_by_carries by assumption.
  rewrite (map_ext _ _ mask_is_mod). do 3 f_equal.
  change (map (fun v => DIGIT_MASK <? v) x) with (map generates x).
  change (map (Z.eqb DIGIT_MASK) x) with (map propagates x).
  set (g := fun j => nth j (map generates x) false). set (p := fun j => nth j (map propagates x) false).
  destruct (look_ahead_finds_carries g p (length x) 1 (map generates x) (map propagates x)) as [Hl Hn];
    rewrite ?map_length; [lia | reflexivity | lia | |].
  { intros i Hi. cbn [carry]. replace (S i - 1)%nat with i by lia. reflexivity. }
  rewrite map_length in Hl, Hn.
  apply nth_ext with (d := false) (d' := false); [rewrite shift_up_length, carries_length; exact Hl|].
  intros i Hi. rewrite shift_up_length, Hl in Hi.
  rewrite nth_shift_up, nth_carries by (rewrite ?Hl; exact Hi). fold g p.
  destruct i as [|i]; [reflexivity|]. cbn [Nat.ltb Nat.leb].
  replace (S i - 1)%nat with i by lia. apply Hn. lia.
Qed.

(** The code's normalisation is the specification, for every length. *)
Theorem lookahead_is_the_ripple : forall lanes, Forall fits_int64 lanes ->
  normalize_by_lookahead lanes = normalize lanes.
Proof.
  intros lanes H. rewrite normalize_is_digits_of_value.
  assert (General : let x := settled lanes in
    map (fun v => Z.land v DIGIT_MASK) (pairwise Z.add x (map carry_bit (shift_up 1 false
      (look_ahead (length x) 1 (map (fun v => DIGIT_MASK <? v) x) (map (Z.eqb DIGIT_MASK) x)))))
    = digits (length lanes) (value lanes)).
  { destruct (settled_lanes lanes H) as (Hl & Hb & Hv). cbv zeta.
    rewrite lookahead_of_settled, Hl by exact Hb. exact Hv. }
  destruct lanes as [|low [|high [|third rest]]]; try exact General.
  clear General. cbn [normalize_by_lookahead length value].
  rewrite !mask_is_mod, Z.shiftr_div_pow2, Z.shiftl_mul_pow2 by discriminate.
  change (2 ^ DIGIT_BITS) with BASE.
  destruct (wrap64_congruent (high * BASE)) as [i Hi].
  destruct (wrap64_congruent (low + wrap64 (high * BASE))) as [j Hj].
  change [wrap64 (low + wrap64 (high * BASE)) mod BASE; (wrap64 (low + wrap64 (high * BASE)) / BASE) mod BASE]
    with (digits 2 (wrap64 (low + wrap64 (high * BASE)))).
  rewrite Hj, Hi. rewrite <- (digits_cong 2 (low + BASE * (high + BASE * 0)) (i + j)). f_equal.
  change (modulus 2) with (2 ^ 64). ring.
Qed.
