(** Integers modulo 2^(DIGIT_BITS * L) as L digits: the group that every exact state lives in.

    Models convergence_jax.exact.digits: [normalize], [add], [subtract], [total], [from_ints], [to_ints].
    [normalize] is here its specification, a ripple of carries; Lookahead.v proves that the carry lookahead
    of the code computes the same digits.

    Proves: a residue has exactly one list of digits; the digits of any lanes are those of their value; [add]
    and [subtract] make a commutative group; the signed reading is exact below half the modulus. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants.
Import ListNotations.
Open Scope Z_scope.

Definition BASE : Z := 2 ^ DIGIT_BITS.

(** Value of digits or lanes, least significant first. *)
Fixpoint value (lanes : list Z) : Z :=
  match lanes with [] => 0 | x :: rest => x + BASE * value rest end.

Definition modulus (length : nat) : Z := BASE ^ Z.of_nat length.

Definition is_digit (x : Z) : Prop := 0 <= x < BASE.

(** What a [uint32] array of this length can hold: every bit pattern, and nothing else. *)
Definition canonical (L : nat) (l : list Z) : Prop := length l = L /\ Forall is_digit l.

(** [from_ints]: the digits of any integer, modulo the modulus. *)
Fixpoint digits (L : nat) (v : Z) : list Z :=
  match L with O => [] | S n => v mod BASE :: digits n (v / BASE) end.

(** [normalize], as a ripple of carries. *)
Fixpoint ripple (carry : Z) (lanes : list Z) : list Z :=
  match lanes with
  | [] => []
  | x :: rest => (x + carry) mod BASE :: ripple ((x + carry) / BASE) rest
  end.
Definition normalize (lanes : list Z) : list Z := ripple 0 lanes.

(** Elementwise operations on arrays. *)
Definition pairwise {A B C : Type} (f : A -> B -> C) (a : list A) (b : list B) : list C :=
  map (fun p => f (fst p) (snd p)) (combine a b).

(** [add], [subtract], [total]. *)
Definition add (a b : list Z) : list Z := normalize (pairwise Z.add a b).
Definition subtract (a b : list Z) : list Z := normalize (pairwise Z.sub a b).
Definition sum_lanes (L : nat) (rows : list (list Z)) : list Z :=
  fold_right (pairwise Z.add) (repeat 0 L) rows.
Definition total (L : nat) (rows : list (list Z)) : list Z := normalize (sum_lanes L rows).

(** [to_ints]: two's complement. *)
Definition signed (l : list Z) : Z :=
  let M := modulus (length l) in if 2 * value l <? M then value l else value l - M.

(** ** Digits and values *)

Lemma BASE_positive : 0 < BASE.
Proof. reflexivity. Qed.

Lemma BASE_even : BASE mod 2 = 0.
Proof. reflexivity. Qed.

Lemma modulus_succ : forall L, modulus (S L) = BASE * modulus L.
Proof. intros. unfold modulus. rewrite Nat2Z.inj_succ, Z.pow_succ_r by lia. reflexivity. Qed.

Lemma modulus_positive : forall L, 0 < modulus L.
Proof. intros. unfold modulus. apply Z.pow_pos_nonneg; [reflexivity | lia]. Qed.

Lemma modulus_power_of_two : forall L, modulus L = 2 ^ (DIGIT_BITS * Z.of_nat L).
Proof. intros. unfold modulus, BASE. rewrite <- Z.pow_mul_r; [reflexivity | discriminate | lia]. Qed.

Lemma digits_length : forall L v, length (digits L v) = L.
Proof. induction L; simpl; auto. Qed.

Lemma digits_canonical : forall L v, canonical L (digits L v).
Proof.
  intros. split; [apply digits_length|]. revert v.
  induction L; simpl; constructor; auto. apply Z.mod_pos_bound. reflexivity.
Qed.

Lemma digits_cong : forall L v k, digits L (v + k * modulus L) = digits L v.
Proof.
  induction L as [|L IH]; intros v k; [reflexivity|]. cbn [digits]. rewrite modulus_succ.
  replace (v + k * (BASE * modulus L)) with (v + (k * modulus L) * BASE) by ring.
  rewrite Z.mod_add, Z.div_add by discriminate. rewrite IH. reflexivity.
Qed.

Lemma digits_mod : forall L v, digits L (v mod modulus L) = digits L v.
Proof.
  intros. pose proof (modulus_positive L).
  rewrite (Z.div_mod v (modulus L)) at 2 by lia.
  rewrite Z.add_comm, Z.mul_comm, digits_cong. reflexivity.
Qed.

Theorem value_of_digits : forall L v, value (digits L v) = v mod modulus L.
Proof.
  induction L as [|L IH]; intros v; cbn [digits value].
  - unfold modulus. symmetry. apply Z.mod_1_r.
  - rewrite IH, modulus_succ, Z.rem_mul_r; [reflexivity | discriminate | apply modulus_positive].
Qed.

Lemma canonical_value_range : forall L l, canonical L l -> 0 <= value l < modulus L.
Proof.
  intros L l [Hl Hd]. subst L. induction Hd as [|x l Hx Hd IH].
  - change (0 <= 0 < 1). lia.
  - cbn [length value]. rewrite modulus_succ. unfold is_digit in Hx.
    pose proof BASE_positive. nia.
Qed.

Theorem digits_of_value : forall L l, canonical L l -> digits L (value l) = l.
Proof.
  intros L l [Hl Hd]. subst L. induction Hd as [|x l Hx Hd IH]; [reflexivity|].
  cbn [length digits value]. unfold is_digit in Hx.
  replace (x + BASE * value l) with (x + value l * BASE) by ring.
  rewrite Z.mod_add, Z.div_add, Z.mod_small, Z.div_small by (discriminate || lia).
  rewrite Z.add_0_l, IH. reflexivity.
Qed.

(** Equal digits are equal residues: nothing else could be compared. *)
Theorem digits_are_unique : forall L v w, digits L v = digits L w <-> v mod modulus L = w mod modulus L.
Proof.
  intros L v w. split; intros H.
  - rewrite <- !value_of_digits, H. reflexivity.
  - rewrite <- (digits_mod L v), <- (digits_mod L w), H. reflexivity.
Qed.

Corollary canonical_forms_are_unique : forall L a b, canonical L a -> canonical L b ->
  (a = b <-> value a mod modulus L = value b mod modulus L).
Proof.
  intros L a b Ha Hb. rewrite <- digits_are_unique, !digits_of_value by assumption. reflexivity.
Qed.

(** ** Normalisation *)

Lemma ripple_digits : forall lanes carry, ripple carry lanes = digits (length lanes) (value lanes + carry).
Proof.
  induction lanes as [|x l IH]; intros carry; [reflexivity|].
  cbn [ripple length digits value]. rewrite IH.
  replace (x + BASE * value l + carry) with (x + carry + value l * BASE) by ring.
  rewrite Z.mod_add, Z.div_add by discriminate. f_equal. f_equal. ring.
Qed.

Theorem normalize_is_digits_of_value : forall lanes, normalize lanes = digits (length lanes) (value lanes).
Proof. intros. unfold normalize. rewrite ripple_digits, Z.add_0_r. reflexivity. Qed.

Corollary normalize_canonical : forall L lanes, length lanes = L -> canonical L (normalize lanes).
Proof. intros L lanes <-. rewrite normalize_is_digits_of_value. apply digits_canonical. Qed.

(** ** The group *)

Lemma pairwise_length : forall {A B C} (f : A -> B -> C) L a b,
  length a = L -> length b = L -> length (pairwise f a b) = L.
Proof. intros. unfold pairwise. rewrite map_length, combine_length. lia. Qed.

Lemma value_pairwise_add : forall a b, length a = length b ->
  value (pairwise Z.add a b) = value a + value b.
Proof.
  induction a as [|x a IH]; destruct b as [|y b]; intros H; try discriminate; [reflexivity|].
  change (x + y + BASE * value (pairwise Z.add a b) = x + BASE * value a + (y + BASE * value b)).
  rewrite IH by (injection H; auto). ring.
Qed.

Lemma value_pairwise_sub : forall a b, length a = length b ->
  value (pairwise Z.sub a b) = value a - value b.
Proof.
  induction a as [|x a IH]; destruct b as [|y b]; intros H; try discriminate; [reflexivity|].
  change (x - y + BASE * value (pairwise Z.sub a b) = x + BASE * value a - (y + BASE * value b)).
  rewrite IH by (injection H; auto). ring.
Qed.

Lemma add_digits : forall L a b, canonical L a -> canonical L b -> add a b = digits L (value a + value b).
Proof.
  intros L a b [Ha _] [Hb _]. unfold add.
  rewrite normalize_is_digits_of_value, (pairwise_length _ L), value_pairwise_add by congruence.
  reflexivity.
Qed.

Lemma subtract_digits : forall L a b, canonical L a -> canonical L b ->
  subtract a b = digits L (value a - value b).
Proof.
  intros L a b [Ha _] [Hb _]. unfold subtract.
  rewrite normalize_is_digits_of_value, (pairwise_length _ L), value_pairwise_sub by congruence.
  reflexivity.
Qed.

(** Adding digits adds what they stand for, wrapped or not. *)
Theorem add_of_digits : forall L v w, add (digits L v) (digits L w) = digits L (v + w).
Proof.
  intros. rewrite (add_digits L) by apply digits_canonical. rewrite !value_of_digits.
  rewrite digits_are_unique. symmetry. apply Z.add_mod. pose proof (modulus_positive L). lia.
Qed.

Theorem subtract_of_digits : forall L v w, subtract (digits L v) (digits L w) = digits L (v - w).
Proof.
  intros. rewrite (subtract_digits L) by apply digits_canonical. rewrite !value_of_digits.
  rewrite digits_are_unique. symmetry. apply Zminus_mod.
Qed.

Definition zero (L : nat) : list Z := repeat 0 L.

Lemma zero_digits : forall L, zero L = digits L 0.
Proof. unfold zero. induction L; cbn [digits repeat]; [reflexivity|]. rewrite IHL. reflexivity. Qed.

Lemma zero_length : forall L, length (zero L) = L.
Proof. intros. apply repeat_length. Qed.

Lemma value_zero : forall L, value (zero L) = 0.
Proof. induction L; [reflexivity|]. change (BASE * value (zero L) = 0). rewrite IHL. ring. Qed.

Section Group.
Variable L : nat.

Lemma canonical_is_digits : forall a, canonical L a -> exists v, a = digits L v.
Proof using Type. intros a Ha. exists (value a). symmetry. apply digits_of_value, Ha. Qed.

Ltac as_digits H := apply canonical_is_digits in H as [? ->].

Theorem add_commutative : forall a b, canonical L a -> canonical L b -> add a b = add b a.
Proof using Type. intros a b Ha Hb. rewrite !(add_digits L) by assumption. f_equal. ring. Qed.

Theorem add_associative : forall a b c, canonical L a -> canonical L b -> canonical L c ->
  add a (add b c) = add (add a b) c.
Proof using Type.
  intros a b c Ha Hb Hc. as_digits Ha. as_digits Hb. as_digits Hc. rewrite !add_of_digits. f_equal. ring.
Qed.

Theorem add_zero : forall a, canonical L a -> add (zero L) a = a.
Proof using Type.
  intros a Ha. as_digits Ha. rewrite zero_digits, add_of_digits. reflexivity.
Qed.

Theorem subtract_undoes_add : forall a b, canonical L a -> canonical L b -> subtract (add a b) b = a.
Proof using Type.
  intros a b Ha Hb. as_digits Ha. as_digits Hb.
  rewrite add_of_digits, subtract_of_digits, Z.add_simpl_r. reflexivity.
Qed.

Theorem add_undoes_subtract : forall a b, canonical L a -> canonical L b -> add (subtract a b) b = a.
Proof using Type.
  intros a b Ha Hb. as_digits Ha. as_digits Hb.
  rewrite subtract_of_digits, add_of_digits, Z.sub_add. reflexivity.
Qed.

Lemma add_canonical : forall a b, canonical L a -> canonical L b -> canonical L (add a b).
Proof using Type. intros. rewrite (add_digits L) by assumption. apply digits_canonical. Qed.

Lemma subtract_canonical : forall a b, canonical L a -> canonical L b -> canonical L (subtract a b).
Proof using Type. intros. rewrite (subtract_digits L) by assumption. apply digits_canonical. Qed.

Lemma sum_lanes_length : forall rows, Forall (canonical L) rows -> length (sum_lanes L rows) = L.
Proof using Type.
  induction 1 as [|row rows [Hr _] H IH]; [apply repeat_length|]. apply pairwise_length; assumption.
Qed.

(** [total] has the bits of adding one row after the other. *)
Theorem total_is_repeated_add : forall rows, Forall (canonical L) rows ->
  total L rows = fold_right add (zero L) rows.
Proof using Type.
  intros rows H. unfold total. rewrite normalize_is_digits_of_value, sum_lanes_length by assumption.
  induction H as [|row rows Hr H IH]; cbn [sum_lanes fold_right].
  - change (repeat 0 L) with (zero L). rewrite value_zero. symmetry. apply zero_digits.
  - fold (sum_lanes L rows).
    rewrite value_pairwise_add by (rewrite sum_lanes_length by assumption; apply Hr).
    rewrite <- IH, <- add_of_digits, (digits_of_value L row Hr). reflexivity.
Qed.

(** No lane of [total] leaves [int64] while there are at most 2^31 rows. *)
Theorem lanes_of_total_fit : forall rows, Forall (canonical L) rows ->
  Z.of_nat (length rows) <= 2 ^ 31 -> Forall (fun x => 0 <= x < 2 ^ 63) (sum_lanes L rows).
Proof using Type.
  intros rows H Hn.
  assert (G : Forall (fun x => 0 <= x <= Z.of_nat (length rows) * (BASE - 1)) (sum_lanes L rows)).
  { clear Hn. induction H as [|row rows [_ Hr] H IH].
    - apply Forall_forall. intros x Hx. apply repeat_spec in Hx. subst x. split; [lia|].
      apply Z.mul_nonneg_nonneg; [lia | discriminate].
    - cbn [sum_lanes fold_right length]. fold (sum_lanes L rows).
      apply Forall_forall. intros x Hx. unfold pairwise in Hx.
      apply in_map_iff in Hx as [[p q] [<- Hpq]]. cbn [fst snd].
      rewrite Forall_forall in Hr, IH.
      specialize (Hr _ (in_combine_l _ _ _ _ Hpq)). specialize (IH _ (in_combine_r _ _ _ _ Hpq)).
      cbv beta in IH. unfold is_digit in Hr. lia. }
  eapply Forall_impl; [|exact G]. intros x Hx. cbv beta in Hx.
  change (BASE - 1) with (2 ^ 32 - 1) in Hx. lia.
Qed.
End Group.

(** ** The signed reading *)

Theorem signed_reading_is_exact : forall L v, - modulus L <= 2 * v < modulus L -> signed (digits L v) = v.
Proof.
  intros L v Hv. unfold signed. rewrite digits_length, value_of_digits.
  pose proof (modulus_positive L).
  destruct (Z.le_gt_cases 0 v) as [H0|H0].
  - rewrite Z.mod_small by lia. destruct (Z.ltb_spec (2 * v) (modulus L)); lia.
  - replace (v mod modulus L) with (v + modulus L).
    + destruct (Z.ltb_spec (2 * (v + modulus L)) (modulus L)); lia.
    + rewrite <- (Z.mod_add v 1), Z.mod_small by lia. ring.
Qed.

(** The same with the bits counted: below 2^(DIGIT_BITS * L - 1) in magnitude. *)
Corollary signed_reading_is_exact_in_bits : forall L v, (0 < L)%nat ->
  Z.abs v < 2 ^ (DIGIT_BITS * Z.of_nat L - 1) -> signed (digits L v) = v.
Proof.
  intros L v HL Hv. apply signed_reading_is_exact. rewrite modulus_power_of_two.
  assert (E : 2 ^ (DIGIT_BITS * Z.of_nat L) = 2 * 2 ^ (DIGIT_BITS * Z.of_nat L - 1)).
  { rewrite <- Z.pow_succ_r by (unfold DIGIT_BITS; lia). f_equal. lia. }
  lia.
Qed.

Lemma signed_range : forall L l, canonical L l -> - modulus L <= 2 * signed l < modulus L.
Proof.
  intros L l H. pose proof (canonical_value_range L l H). destruct H as [<- _]. unfold signed.
  destruct (Z.ltb_spec (2 * value l) (modulus (length l))); lia.
Qed.

Lemma digits_of_signed : forall L l, canonical L l -> digits L (signed l) = l.
Proof.
  intros L l H. rewrite <- (digits_of_value L l H) at 2. destruct H as [<- _]. unfold signed.
  destruct (_ <? _); [reflexivity|].
  rewrite <- (digits_cong (length l) (value l) (-1)). reflexivity.
Qed.
