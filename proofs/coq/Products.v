(** Products of signed integers held as digits.

    Models [multiply] and [multiply_ticks] of convergence_jax/exact/multiply.py, lane by lane. Proves that the
    digits are those of the exact product modulo [2^(32 * length)], that no lane leaves a signed 64-bit word
    on the way, and that the products of ticks are exact: four digits hold those of narrow ticks, eight those
    of wide ones. *)
From Coq Require Import ZArith List Lia.
From Convergence Require Import Constants SignedDigits.
Import ListNotations.
Open Scope Z_scope.

(** ** Lanes *)

(** [add_at] of [multiply]: what lies beyond the last lane is dropped. *)
Fixpoint add_at (k : nat) (v : Z) (lanes : list Z) {struct lanes} : list Z :=
  match lanes, k with
  | [], _ => []
  | x :: rest, O => x + v :: rest
  | x :: rest, S k => x :: add_at k v rest
  end.

(** One digit of the first factor times all of the second, as two halves each. *)
Fixpoint add_row (p : Z) (k : nat) (b lanes : list Z) : list Z :=
  match b with
  | [] => lanes
  | q :: rest =>
      add_row p (S k) rest
        (add_at (S k) (Z.shiftr (p * q) DIGIT_BITS) (add_at k (Z.land (p * q) DIGIT_MASK) lanes))
  end.

Fixpoint add_products (a : list Z) (k : nat) (b lanes : list Z) : list Z :=
  match a with
  | [] => lanes
  | p :: rest => add_products rest (S k) b (add_row p k b lanes)
  end.

(** A factor taken off, from lane [k] up, where the other one is negative. *)
Fixpoint take_off (negative : Z) (k : nat) (b lanes : list Z) : list Z :=
  match b with
  | [] => lanes
  | q :: rest => take_off negative (S k) rest (add_at k (- (negative * q)) lanes)
  end.

(** The lanes of [multiply] before [normalize]. *)
Definition product_lanes (a b : list Z) (n : nat) : list Z :=
  let products := add_products a 0 b (repeat 0 n) in
  let first := take_off (sign a) (length a) b products in
  let second := take_off (sign b) (length b) a first in
  add_at (length a + length b) (sign a * sign b) second.

(** [multiply] *)
Definition multiply (a b : list Z) (n : nat) : list Z := residue n (value (product_lanes a b n)).

(** [multiply_ticks] *)
Definition multiply_ticks (a b : Z) (wide : bool) : list Z :=
  if wide then multiply (from_int64 a 2) (from_int64 b 2) 8 else from_int64 (a * b) 4.

(** *** Their value *)

(** Equality modulo [2^(32 * n)]. *)
Definition congruent (n : nat) (x y : Z) : Prop := exists c, x = y + c * BASE ^ Z.of_nat n.

Lemma congruent_mod (n : nat) (x y : Z) : congruent n x y -> x mod BASE ^ Z.of_nat n = y mod BASE ^ Z.of_nat
  n.
Proof. intros [c ->]. apply Z.mod_add. pose proof (base_power n). lia. Qed.

Lemma add_at_length (k : nat) (v : Z) (lanes : list Z) : length (add_at k v lanes) = length lanes.
Proof. revert k. induction lanes; intros [|k]; simpl; auto. Qed.

Lemma add_at_value (k : nat) (v : Z) (lanes : list Z) :
  congruent (length lanes) (value (add_at k v lanes)) (value lanes + v * BASE ^ Z.of_nat k).
Proof.
  unfold congruent. revert k. induction lanes as [|x rest IH]; intros k.
  - exists (- (v * BASE ^ Z.of_nat k)). cbn [add_at value length].
    change (BASE ^ Z.of_nat 0) with 1. ring.
  - destruct k as [|k]; cbn [add_at value length].
    + exists 0. change (BASE ^ Z.of_nat 0) with 1. ring.
    + destruct (IH k) as [c Hc]. exists c. rewrite Hc, !base_power_succ. ring.
Qed.

Lemma add_row_value (p : Z) (b lanes : list Z) (k : nat) :
  length (add_row p k b lanes) = length lanes /\
  congruent (length lanes) (value (add_row p k b lanes)) (value lanes + p * value b * BASE ^ Z.of_nat k).
Proof.
  revert k lanes. induction b as [|q rest IH]; intros k lanes; cbn [add_row value].
  - split; [reflexivity|]. exists 0. ring.
  - destruct (IH (S k) (add_at (S k) (Z.shiftr (p * q) DIGIT_BITS)
                          (add_at k (Z.land (p * q) DIGIT_MASK) lanes))) as [Hlength [c Hc]].
    rewrite !add_at_length in *. split; [assumption|].
    destruct (add_at_value (S k) (Z.shiftr (p * q) DIGIT_BITS)
                (add_at k (Z.land (p * q) DIGIT_MASK) lanes)) as [c' Hc'].
    destruct (add_at_value k (Z.land (p * q) DIGIT_MASK) lanes) as [c'' Hc''].
    rewrite add_at_length in Hc'. exists (c + c' + c'').
    rewrite Hc, Hc', Hc'', low_digit, Z.shiftr_div_pow2 by discriminate. fold BASE.
    rewrite !base_power_succ. pose proof (Z.div_mod (p * q) BASE ltac:(discriminate)) as Hsplit.
    rewrite Z.mod_eq by discriminate. ring.
Qed.

Lemma add_products_value (a b lanes : list Z) (k : nat) :
  length (add_products a k b lanes) = length lanes /\
  congruent (length lanes) (value (add_products a k b lanes))
    (value lanes + value a * value b * BASE ^ Z.of_nat k).
Proof.
  revert k lanes. induction a as [|p rest IH]; intros k lanes; cbn [add_products value].
  - split; [reflexivity|]. exists 0. ring.
  - destruct (add_row_value p b lanes k) as [Hrow [c Hc]].
    destruct (IH (S k) (add_row p k b lanes)) as [Hlength [c' Hc']]. rewrite Hrow in *.
    split; [assumption|]. exists (c + c'). rewrite Hc', Hc, base_power_succ. ring.
Qed.

Lemma take_off_value (negative : Z) (b lanes : list Z) (k : nat) :
  length (take_off negative k b lanes) = length lanes /\
  congruent (length lanes) (value (take_off negative k b lanes))
    (value lanes - negative * value b * BASE ^ Z.of_nat k).
Proof.
  revert k lanes. induction b as [|q rest IH]; intros k lanes; cbn [take_off value].
  - split; [reflexivity|]. exists 0. ring.
  - destruct (IH (S k) (add_at k (- (negative * q)) lanes)) as [Hlength [c Hc]].
    destruct (add_at_value k (- (negative * q)) lanes) as [c' Hc'].
    rewrite add_at_length in *. split; [assumption|].
    exists (c + c'). rewrite Hc, Hc', base_power_succ. ring.
Qed.

Lemma value_of_zeros (n : nat) : value (repeat 0 n) = 0.
Proof. induction n; simpl; [reflexivity|rewrite IHn; ring]. Qed.

Lemma product_lanes_value (a b : list Z) (n : nat) :
  congruent n (value (product_lanes a b n)) (signed a * signed b).
Proof.
  unfold product_lanes.
  destruct (add_products_value a b (repeat 0 n) 0) as [Hn1 [c1 H1]].
  destruct (take_off_value (sign a) b (add_products a 0 b (repeat 0 n)) (length a)) as [Hn2 [c2 H2]].
  destruct (take_off_value (sign b) a
    (take_off (sign a) (length a) b (add_products a 0 b (repeat 0 n))) (length b)) as [Hn3 [c3 H3]].
  destruct (add_at_value (length a + length b) (sign a * sign b)
    (take_off (sign b) (length b) a (take_off (sign a) (length a) b (add_products a 0 b (repeat 0 n)))))
    as [c4 H4].
  rewrite Hn3, Hn2, Hn1, repeat_length in *.
  exists (c1 + c2 + c3 + c4). rewrite H4, H3, H2, H1, value_of_zeros. unfold signed.
  rewrite Nat2Z.inj_add, Z.pow_add_r by lia. change (BASE ^ Z.of_nat 0) with 1. ring.
Qed.

Theorem multiply_is_the_product_modulo (a b : list Z) (n : nat) :
  multiply a b n = residue n (signed a * signed b).
Proof.
  apply residue_is_canonical, congruent_mod, product_lanes_value.
Qed.

(** *** No lane leaves its word *)

Definition lanes_within (adds : Z) (lanes : list Z) : Prop := Forall (fun x => Z.abs x <= adds * BASE) lanes.

Lemma add_at_within (k : nat) (v adds : Z) (lanes : list Z) :
  0 <= adds -> Z.abs v <= BASE -> lanes_within adds lanes -> lanes_within (adds + 1) (add_at k v lanes).
Proof.
  intros Hadds Hv Hlanes. unfold lanes_within in *. pose proof base_is_positive. revert k.
  induction Hlanes as [|x rest Hx Hrest IH]; intros [|k]; cbn [add_at]; constructor; auto; try lia.
  eapply Forall_impl; [|exact Hrest]. cbv beta. intros. lia.
Qed.

Lemma add_row_within (p adds : Z) (b lanes : list Z) (k : nat) :
  is_digit p -> Forall is_digit b -> 0 <= adds -> lanes_within adds lanes ->
  lanes_within (adds + 2 * Z.of_nat (length b)) (add_row p k b lanes).
Proof.
  intros Hp Hb. revert adds k lanes. induction Hb as [|q rest Hq _ IH]; intros adds k lanes Hadds Hlanes.
  - now rewrite Z.add_0_r.
  - cbn [add_row length]. replace (adds + _) with ((adds + 1 + 1) + 2 * Z.of_nat (length rest)) by lia.
    unfold is_digit in Hp, Hq.
    apply IH; [lia|]. repeat apply add_at_within; try lia; try assumption.
    + rewrite Z.shiftr_div_pow2 by discriminate. fold BASE.
      rewrite Z.abs_eq by (apply Z.div_pos; [nia|reflexivity]).
      apply Z.div_le_upper_bound; [reflexivity|nia].
    + rewrite low_digit. pose proof (Z.mod_pos_bound (p * q) BASE base_is_positive). lia.
Qed.

Lemma add_products_within (adds : Z) (a b lanes : list Z) (k : nat) :
  Forall is_digit a -> Forall is_digit b -> 0 <= adds -> lanes_within adds lanes ->
  lanes_within (adds + 2 * Z.of_nat (length a) * Z.of_nat (length b)) (add_products a k b lanes).
Proof.
  intros Ha Hb. revert adds k lanes. induction Ha as [|p rest Hp _ IH]; intros adds k lanes Hadds Hlanes.
  - now rewrite Z.add_0_r.
  - cbn [add_products length].
    replace (adds + _) with ((adds + 2 * Z.of_nat (length b))
      + 2 * Z.of_nat (length rest) * Z.of_nat (length b)) by lia.
    apply IH; [lia|]. now apply add_row_within.
Qed.

Lemma take_off_within (negative adds : Z) (b lanes : list Z) (k : nat) :
  0 <= negative <= 1 -> Forall is_digit b -> 0 <= adds -> lanes_within adds lanes ->
  lanes_within (adds + Z.of_nat (length b)) (take_off negative k b lanes).
Proof.
  intros Hnegative Hb. revert adds k lanes. induction Hb as [|q rest Hq _ IH]; intros adds k lanes Hadds
    Hlanes.
  - now rewrite Z.add_0_r.
  - cbn [take_off length]. replace (adds + _) with (adds + 1 + Z.of_nat (length rest)) by lia.
    apply IH; [lia|]. apply add_at_within; [assumption|unfold is_digit in Hq; nia|assumption].
Qed.

Lemma sign_is_a_bit (digits : list Z) : Forall is_digit digits -> digits <> [] -> 0 <= sign digits <= 1.
Proof. intros H Hsome. rewrite sign_spec by assumption. destruct (_ <? _); lia. Qed.

(** Factors of up to 30 digits, the most that any caller has: no lane overflows an [int64]. *)
Theorem product_lanes_fit_a_word (a b : list Z) (n : nat) :
  Forall is_digit a -> Forall is_digit b -> a <> [] -> b <> [] ->
  (length a <= 30)%nat -> (length b <= 30)%nat ->
  Forall (fun lane => Z.abs lane < 2 ^ (2 * DIGIT_BITS - 1)) (product_lanes a b n).
Proof.
  intros Ha Hb Ha_some Hb_some Ha_short Hb_short.
  pose proof (sign_is_a_bit a Ha Ha_some). pose proof (sign_is_a_bit b Hb Hb_some).
  assert (lanes_within 0 (repeat 0 n)) as Hzero.
  { apply Forall_forall. intros x Hx. apply repeat_spec in Hx. subst. simpl. lia. }
  pose proof (add_products_within 0 a b _ 0 Ha Hb ltac:(lia) Hzero) as Hproducts.
  apply (take_off_within (sign a) _ b _ (length a)) in Hproducts as Hfirst; [|assumption|assumption|nia].
  apply (take_off_within (sign b) _ a _ (length b)) in Hfirst as Hsecond; [|assumption|assumption|nia].
  apply (add_at_within (length a + length b) (sign a * sign b)) in Hsecond;
    [|nia|unfold BASE, DIGIT_BITS; nia].
  eapply Forall_impl; [|exact Hsecond]. cbv beta. intros lane Hlane.
  assert (Z.of_nat (length a) * Z.of_nat (length b) <= 30 * 30) by nia.
  unfold BASE, DIGIT_BITS in *. lia.
Qed.

(** ** Products of ticks *)

(** A narrow product is one exact product of words; a wide one is exact in eight digits. *)
Theorem products_of_ticks_are_exact (a b : Z) (wide : bool) :
  let bits := if wide then WIDE_BITS else NARROW_BITS in
  Z.abs a < 2 ^ bits -> Z.abs b < 2 ^ bits ->
  fits_word (if wide then a else a * b)
  /\ multiply_ticks a b wide = residue (if wide then 8 else 4) (a * b)
  /\ signed (multiply_ticks a b wide) = a * b.
Proof.
  intros bits Ha Hb. unfold bits, WIDE_BITS, NARROW_BITS in *. destruct wide.
  - assert (fits_word a /\ fits_word b) as [Ha_fits Hb_fits].
    { unfold fits_word, DIGIT_BITS. change (2 ^ (2 * 32 - 1)) with (2 * 2 ^ 62). lia. }
    assert (multiply_ticks a b true = residue 8 (a * b)) as Hproduct.
    { unfold multiply_ticks. rewrite multiply_is_the_product_modulo, !from_int64_is_the_residue by
      (assumption || lia).
      rewrite !residue_of_what_fits; [reflexivity|lia|exact Hb_fits|lia|exact Ha_fits]. }
    split; [assumption|]. split; [assumption|]. rewrite Hproduct.
    apply residue_of_what_fits; [lia|]. unfold fits, DIGIT_BITS.
    apply Z.abs_lt in Ha, Hb. change (2 ^ (32 * Z.of_nat 8 - 1)) with (2 ^ 131 * (2 ^ 62 * 2 ^ 62)).
    revert Ha Hb. generalize (2 ^ 62). intros m Ha Hb. nia.
  - assert (fits_word (a * b)) as Hword.
    { unfold fits_word, DIGIT_BITS. change (2 ^ (2 * 32 - 1)) with (2 * (2 ^ 31 * 2 ^ 31)).
      apply Z.abs_lt in Ha, Hb. revert Ha Hb. generalize (2 ^ 31). intros m Ha Hb. nia. }
    assert (multiply_ticks a b false = residue 4 (a * b)) as Hproduct.
    { now apply from_int64_is_the_residue; [|lia]. }
    split; [assumption|]. split; [assumption|]. rewrite Hproduct.
    apply residue_of_what_fits; [lia|]. unfold fits, fits_word, DIGIT_BITS in *.
    change (2 ^ (32 * Z.of_nat 4 - 1)) with (2 ^ 64 * 2 ^ (2 * 32 - 1)). nia.
Qed.
