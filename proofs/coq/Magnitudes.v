(** The leading 64 bits of an integer in digits, and whether anything lies below them.

    Models the first half of convergence_jax.exact.rounding.round_digits: [negative], [magnitude], [top],
    [digit], [rest], [length_bits], [by], [head], [sticky]. The code reads [length_bits] off the exponent of
    the digit as a float64, which is exact; here it is the logarithm, rounded down, and one.

    Proves: the magnitude is that of the signed value, and 2^63 <= head < 2^64 are its leading bits, with
    [sticky] telling whether the rest is zero. *)
From Coq Require Import ZArith List Lia Bool.
From Convergence Require Import Constants Residues Floats.
Import ListNotations.
Open Scope Z_scope.

Definition is_negative (l : list Z) : bool := negb (Z.shiftr (last l 0) (DIGIT_BITS - 1) =? 0).

Definition magnitude (l : list Z) : list Z := normalize (if is_negative l then map Z.opp l else l).

Definition is_zero (l : list Z) : bool := forallb (Z.eqb 0) l.

(** [top]: the largest index of a digit that is not zero, zero if there is none. *)
Fixpoint top_of (l : list Z) : nat :=
  match l with [] => O | _ :: rest => if is_zero rest then O else S (top_of rest) end.

(** [digit]. *)
Definition digit_below (l : list Z) (below : nat) : Z :=
  if (below <=? top_of l)%nat then nth (top_of l - below) l 0 else 0.

Definition rest_of (l : list Z) : bool := negb (is_zero (firstn (top_of l - 2) l)).

Definition length_bits (first : Z) : Z := if first =? 0 then -1022 else Z.log2 first + 1.

Definition clip (x low high : Z) : Z := Z.min (Z.max x low) high.

Definition amount_of (first : Z) : Z := clip (DIGIT_BITS - length_bits first) 0 (DIGIT_BITS - 1).

Definition head_of (l : list Z) : Z :=
  let amount := amount_of (digit_below l 0) in
  Z.lor (Z.shiftl (Z.lor (Z.shiftl (digit_below l 0) DIGIT_BITS) (digit_below l 1)) amount)
        (Z.shiftr (Z.shiftl (digit_below l 2) amount) DIGIT_BITS).

Definition sticky_of (l : list Z) : bool :=
  let amount := amount_of (digit_below l 0) in
  rest_of l || negb (Z.land (Z.shiftl (digit_below l 2) amount) DIGIT_MASK =? 0).

(** ** Sign and magnitude *)

Lemma value_opp : forall l, value (map Z.opp l) = - value l.
Proof. induction l as [|x l IH]; [reflexivity|]. cbn [map value]. rewrite IH. ring. Qed.

Lemma is_negative_spec : forall l, Forall is_digit l -> l <> [] ->
  is_negative l = (modulus (length l) <=? 2 * value l).
Proof.
  intros l H Hl. destruct (exists_last Hl) as [low [d ->]]. clear Hl.
  unfold is_negative. rewrite last_last, Z.shiftr_div_pow2, value_app by discriminate.
  apply Forall_app in H as [Hlow Hd]. inversion Hd as [|? ? Hdig _]. subst. unfold is_digit in Hdig.
  assert (R : 0 <= value low < BASE ^ Z.of_nat (length low))
    by (apply (canonical_value_range (length low)); split; auto).
  rewrite app_length. cbn [length value]. rewrite Nat.add_1_r, modulus_succ. unfold modulus.
  set (P := BASE ^ Z.of_nat (length low)) in *.
  assert (HB : BASE = 2 * 2 ^ (DIGIT_BITS - 1)) by reflexivity.
  rewrite Z.mul_0_r, Z.add_0_r.
  destruct (Z.lt_ge_cases d (2 ^ (DIGIT_BITS - 1))) as [Hs|Hs].
  - rewrite Z.div_small by lia. symmetry. apply Z.leb_gt. nia.
  - replace (d / 2 ^ (DIGIT_BITS - 1)) with 1.
    + symmetry. apply Z.leb_le. nia.
    + apply Z.div_unique with (d - 2 ^ (DIGIT_BITS - 1)); lia.
Qed.

Lemma sign_of_signed : forall l, Forall is_digit l -> l <> [] -> is_negative l = (signed l <? 0).
Proof.
  intros l H Hl. rewrite is_negative_spec by assumption. unfold signed.
  pose proof (canonical_value_range (length l) l (conj eq_refl H)).
  destruct (Z.leb_spec (modulus (length l)) (2 * value l)), (Z.ltb_spec (2 * value l) (modulus (length l)));
    symmetry; (apply Z.ltb_lt || apply Z.ltb_ge); lia.
Qed.

Theorem magnitude_is_absolute_value : forall L l, canonical L l -> l <> [] ->
  canonical L (magnitude l) /\ value (magnitude l) = Z.abs (signed l).
Proof.
  intros L l [Hl Hd] Hn. unfold magnitude.
  assert (Hlen : length (if is_negative l then map Z.opp l else l) = L) by (destruct (is_negative l);
    rewrite ?map_length; exact Hl).
  rewrite normalize_is_digits_of_value, Hlen. split; [apply digits_canonical|].
  rewrite value_of_digits. pose proof (canonical_value_range L l (conj Hl Hd)) as R.
  rewrite is_negative_spec, Hl by assumption. unfold signed. rewrite Hl.
  destruct (Z.leb_spec (modulus L) (2 * value l)), (Z.ltb_spec (2 * value l) (modulus L)); try lia.
  - rewrite value_opp. replace (- value l) with (modulus L - value l + (-1) * modulus L) by ring.
    rewrite Z.mod_add, Z.mod_small by lia. lia.
  - rewrite Z.mod_small by lia. lia.
Qed.

(** ** The leading digits *)

Lemma is_zero_spec : forall l, Forall is_digit l -> is_zero l = (value l =? 0).
Proof.
  induction 1 as [|x l Hx H IH]; [reflexivity|]. cbn [is_zero forallb value].
  fold (is_zero l). rewrite IH. unfold is_digit in Hx.
  assert (0 <= value l) by (apply (canonical_value_range (length l)); split; auto).
  pose proof BASE_positive.
  destruct (Z.eqb_spec 0 x), (Z.eqb_spec (value l) 0), (Z.eqb_spec (x + BASE * value l) 0); cbn; nia.
Qed.

Lemma top_splits : forall l, Forall is_digit l -> 0 < value l ->
  exists low first zeros, l = low ++ first :: zeros /\ length low = top_of l /\ 0 < first < BASE
    /\ value zeros = 0 /\ Forall is_digit low.
Proof.
  induction 1 as [|x l Hx H IH]; intros Hv; [cbn in Hv; lia|]. cbn [top_of].
  rewrite is_zero_spec by assumption. unfold is_digit in Hx. cbn [value] in Hv.
  assert (0 <= value l) by (apply (canonical_value_range (length l)); split; auto).
  destruct (Z.eqb_spec (value l) 0) as [E|E].
  - exists [], x, l. rewrite E in Hv. repeat split; try lia; auto.
  - destruct IH as (low & first & zeros & -> & Ht & Hf & Hz & Hlow); [lia|].
    exists (x :: low), first, zeros. cbn [length app]. rewrite <- Ht. repeat split; auto; lia.
Qed.

Lemma nth_of_low : forall (low : list Z) n tail, (n < length low)%nat -> nth n (low ++ tail) 0 = nth n low 0.
Proof. intros. apply app_nth1. assumption. Qed.

Theorem leading_digits : forall l, Forall is_digit l -> 0 < value l -> exists low,
  value l * BASE ^ 2 = low + BASE ^ Z.of_nat (top_of l)
    * (digit_below l 0 * BASE ^ 2 + digit_below l 1 * BASE + digit_below l 2)
  /\ 0 <= low < BASE ^ Z.of_nat (top_of l) /\ rest_of l = negb (low =? 0)
  /\ 0 < digit_below l 0 < BASE /\ is_digit (digit_below l 1) /\ is_digit (digit_below l 2).
Proof.
  intros l H Hv. destruct (top_splits l H Hv) as (low & first & zeros & -> & Ht & Hf & Hz & Hlow).
  unfold digit_below, rest_of. rewrite <- Ht. cbn [Nat.leb]. rewrite Nat.sub_0_r, nth_middle.
  rewrite value_app. cbn [value]. rewrite Hz, Z.mul_0_r, Z.add_0_r.
  assert (D0 : is_digit 0) by (split; reflexivity || discriminate).
  destruct low as [|s low'] using rev_ind; [|clear IHlow'].
  - exists 0. cbn [app length Nat.leb Nat.sub nth firstn is_zero forallb negb value].
    change (BASE ^ Z.of_nat 0) with 1.
    split; [ring|]. repeat split; try apply D0; try apply Hf; lia.
  - apply Forall_app in Hlow as [Hlow' Hs]. inversion Hs as [|? ? Hs' _]. subst. clear Hs.
    destruct low' as [|th low''] using rev_ind; [|clear IHlow''].
    + exists 0. cbn [app length Nat.leb Nat.sub nth firstn is_zero forallb negb value].
      change (Z.of_nat 1) with 1. rewrite Z.pow_1_r.
      split; [ring|]. pose proof BASE_positive. repeat split; try apply D0; try apply Hs'; try apply Hf; lia.
    + apply Forall_app in Hlow' as [Hlow'' Hth]. inversion Hth as [|? ? Hth' _]. subst. clear Hth.
      exists (value low'' * BASE ^ 2).
      rewrite !app_length. cbn [length]. rewrite <- !app_assoc. cbn [app].
      replace (length low'' + 1 + 1)%nat with (S (S (length low''))) by lia. cbn [Nat.leb].
      replace (S (S (length low'')) - 1)%nat with (S (length low'')) by lia.
      replace (S (S (length low'')) - 2)%nat with (length low'') by lia.
      rewrite nth_middle, firstn_app, firstn_all, Nat.sub_diag, app_nil_r.
      replace (nth (S (length low'')) (low'' ++ th :: s :: first :: zeros) 0) with s
        by (rewrite app_nth2 by lia; replace (S (length low'') - length low'')%nat with 1%nat by lia;
          reflexivity).
      rewrite is_zero_spec by assumption.
      assert (R : 0 <= value low'' < BASE ^ Z.of_nat (length low''))
        by (apply (canonical_value_range (length low'')); split; auto).
      rewrite value_app. cbn [value]. rewrite !Nat2Z.inj_succ, !Z.pow_succ_r by lia.
      pose proof BASE_positive as HB.
      split; [ring|]. split; [|split; [|repeat split; try apply Hs'; try apply Hth'; apply Hf]].
      * rewrite !Z.mul_assoc. rewrite (Z.mul_comm (BASE * BASE)). change (BASE ^ 2) with (BASE * BASE). nia.
      * f_equal. destruct (Z.eqb_spec (value low'') 0), (Z.eqb_spec (value low'' * BASE ^ 2) 0); nia.
Qed.

(** ** The head *)

Theorem head_holds_the_leading_bits : forall l, Forall is_digit l -> 0 < value l ->
  let t := Z.of_nat (top_of l) in
  let amount := amount_of (digit_below l 0) in
  2 ^ 63 <= head_of l < 2 ^ 64
  /\ amount = DIGIT_BITS - length_bits (digit_below l 0)
  /\ exists tail, value l * 2 ^ amount * BASE ^ 2 = head_of l * BASE ^ (t + 1) + tail
     /\ 0 <= tail < BASE ^ (t + 1) /\ sticky_of l = negb (tail =? 0).
Proof.
  intros l H Hv t amount. destruct (leading_digits l H Hv) as (low & Hval & Hlow & Hrest & Hf & Hs & Hth).
  unfold head_of, sticky_of. fold amount. rewrite Hrest.
  set (first := digit_below l 0) in *. set (second := digit_below l 1) in *.
  set (third := digit_below l 2) in *.
  fold t in Hval, Hlow. unfold is_digit in Hs, Hth.
  pose proof (Z.log2_spec first (proj1 Hf)) as Hlog. pose proof (Z.log2_nonneg first) as Hlog0.
  assert (Hlog31 : Z.log2 first < 32) by (apply Z.log2_lt_pow2; [lia | apply Hf]).
  assert (Ea : amount = 31 - Z.log2 first).
  { unfold amount, amount_of, clip, length_bits. destruct (Z.eqb_spec first 0); unfold DIGIT_BITS; lia. }
  assert (El : amount = DIGIT_BITS - length_bits first).
  { rewrite Ea. unfold length_bits. destruct (Z.eqb_spec first 0); unfold DIGIT_BITS; lia. }
  assert (HA : 0 < 2 ^ amount) by (apply Z.pow_pos_nonneg; lia).
  assert (HBA : BASE = 2 ^ (32 - amount) * 2 ^ amount) by (rewrite <- Z.pow_add_r by lia;
    unfold BASE, DIGIT_BITS; f_equal; lia).
  assert (HP : 0 < 2 ^ (32 - amount)) by (apply Z.pow_pos_nonneg; lia).
  rewrite mask_is_mod, !Z.shiftl_mul_pow2, Z.shiftr_div_pow2 by (discriminate || lia).
  rewrite (lor_is_add first second DIGIT_BITS) by (discriminate || exact Hs).
  change (2 ^ DIGIT_BITS) with BASE.
  pose proof (Z.div_mod (third * 2 ^ amount) BASE ltac:(discriminate)) as Hdm.
  assert (Er : (third * 2 ^ amount) mod BASE = third mod 2 ^ (32 - amount) * 2 ^ amount)
    by (rewrite HBA; apply Z.mul_mod_distr_r; lia).
  pose proof (Z.mod_pos_bound third (2 ^ (32 - amount)) HP) as Hm.
  assert (Hq : 0 <= third * 2 ^ amount / BASE < 2 ^ amount).
  { split; [apply Z.div_pos; [nia | reflexivity]|]. apply Z.div_lt_upper_bound; [reflexivity | nia]. }
  rewrite lor_is_add by (lia || exact Hq).
  set (q := third * 2 ^ amount / BASE) in *.
  set (r := (third * 2 ^ amount) mod BASE) in *.
  assert (Hr : 0 <= r <= BASE - 2 ^ amount) by (rewrite Er, HBA; split; nia).
  assert (Hfirst : 2 ^ 31 <= first * 2 ^ amount /\ (first + 1) * 2 ^ amount <= 2 ^ 32).
  { assert (E : 2 ^ 31 = 2 ^ Z.log2 first * 2 ^ amount) by (rewrite <- Z.pow_add_r by lia; f_equal; lia).
    rewrite Z.pow_succ_r in Hlog by lia. change (2 ^ 32) with (2 * 2 ^ 31). rewrite E, Z.mul_assoc.
    split; apply Z.mul_le_mono_nonneg_r; lia. }
  split; [|split; [exact El|]].
  - change (2 ^ 63) with (2 ^ 31 * BASE). change (2 ^ 64) with (2 ^ 32 * BASE).
    assert (2 ^ 31 * BASE <= first * 2 ^ amount * BASE) by (apply Z.mul_le_mono_nonneg_r;
      [discriminate | lia]).
    assert ((first + 1) * 2 ^ amount * BASE <= 2 ^ 32 * BASE)
      by (apply Z.mul_le_mono_nonneg_r; [discriminate | lia]).
    assert (0 <= second * 2 ^ amount) by (apply Z.mul_nonneg_nonneg; lia).
    assert ((second + 1) * 2 ^ amount <= BASE * 2 ^ amount) by (apply Z.mul_le_mono_nonneg_r; lia).
    replace ((first * BASE + second) * 2 ^ amount) with (first * 2 ^ amount * BASE + second * 2 ^ amount) by
      ring.
    replace ((first + 1) * 2 ^ amount * BASE) with (first * 2 ^ amount * BASE + BASE * 2 ^ amount) in * by
      ring.
    replace ((second + 1) * 2 ^ amount) with (second * 2 ^ amount + 2 ^ amount) in * by ring.
    generalize dependent (first * 2 ^ amount * BASE). generalize dependent (second * 2 ^ amount).
    generalize dependent (BASE * 2 ^ amount). generalize dependent (2 ^ 31 * BASE).
    generalize dependent (2 ^ 32 * BASE). clear - Hq. intros. lia.
  - exists (low * 2 ^ amount + BASE ^ t * r).
    assert (Ht : 0 <= t) by (unfold t; lia).
    rewrite Z.pow_add_r, Z.pow_1_r by lia.
    assert (HT : 0 < BASE ^ t) by (apply Z.pow_pos_nonneg; [reflexivity | lia]).
    repeat split.
    + replace (value l * 2 ^ amount * BASE ^ 2) with (value l * BASE ^ 2 * 2 ^ amount) by ring.
      rewrite Hval.
      replace ((low + BASE ^ t * (first * BASE ^ 2 + second * BASE + third)) * 2 ^ amount)
        with (low * 2 ^ amount + BASE ^ t * ((first * BASE + second) * BASE * 2 ^ amount + third * 2 ^
          amount)) by ring.
      rewrite Hdm at 1. ring.
    + apply Z.add_nonneg_nonneg; apply Z.mul_nonneg_nonneg; lia.
    + replace (BASE ^ t * BASE) with (BASE ^ t * 2 ^ amount + BASE ^ t * (BASE - 2 ^ amount)) by ring.
      apply Z.add_lt_le_mono; [apply Z.mul_lt_mono_pos_r | apply Z.mul_le_mono_nonneg_l]; lia.
    + assert (Hl0 : 0 <= low) by lia. assert (Hr0 : 0 <= r) by lia. clear - Hl0 Hr0 HT HA.
      destruct (Z.eqb_spec low 0) as [->|Nl]; cbn [negb orb].
      * rewrite Z.mul_0_l, Z.add_0_l.
        destruct (Z.eqb_spec r 0) as [->|Nr]; [rewrite Z.mul_0_r; reflexivity|].
        assert (0 < BASE ^ t * r) by (apply Z.mul_pos_pos; lia).
        destruct (Z.eqb_spec (BASE ^ t * r) 0); [lia | reflexivity].
      * assert (0 < low * 2 ^ amount) by (apply Z.mul_pos_pos; lia).
        assert (0 <= BASE ^ t * r) by (apply Z.mul_nonneg_nonneg; lia).
        destruct (Z.eqb_spec (low * 2 ^ amount + BASE ^ t * r) 0); [lia | reflexivity].
Qed.
