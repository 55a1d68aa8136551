(* The extracted definitions as a line protocol: one case a line, one answer a line.

   Integers are decimal, or hexadecimal behind 0x; digits are answered most significant first, eight
   hexadecimal places each. What stands behind "-" is removed after everything before it is merged. *)
module D = Definitions

let split separator text = List.filter (( <> ) "") (String.split_on_char separator text)
let number = Z.of_string
let rec natural n = if n = 0 then D.O else D.S (natural (n - 1))
let digits l = String.concat "" (List.rev_map (fun d -> Printf.sprintf "%08x" (Z.to_int d)) l)
let commas f l = String.concat "," (List.map f l)

(* The terms before and behind the dash. *)
let merged_and_removed read words =
  let rec go before = function
    | [] -> (List.rev before, [])
    | "-" :: behind -> (List.rev before, List.map read behind)
    | word :: rest -> go (read word :: before) rest
  in
  go [] words

let integers word = List.map number (split ',' word)

let pair word =
  match integers word with [ x; y ] -> (x, y) | _ -> failwith ("no pair: " ^ word)

let sum answer read words =
  let merged, removed = merged_and_removed read words in
  let (l, (nan, (plus, minus))), (as_float64, as_float32) = answer merged removed in
  String.concat " " (digits l :: List.map Z.to_string [ nan; plus; minus; as_float64; as_float32 ])

let moments scales ranges words =
  let merged, removed = merged_and_removed integers words in
  let (count, (sums, products)), (means, covariances) =
    D.moments_answer (integers scales) (integers ranges) merged removed
  in
  String.concat " "
    [ Z.to_string count; commas digits sums; commas digits products; commas Z.to_string means;
      commas Z.to_string covariances ]

let two (a, b) = Z.to_string a ^ " " ^ Z.to_string b

let answer line =
  match split ' ' line with
  | "float32" :: words -> sum D.float32_sum number words
  | "float64" :: words -> sum D.float64_sum number words
  | "float32_product" :: words -> sum D.float32_product_sum pair words
  | "float64_product" :: words -> sum D.float64_product_sum pair words
  | "moments" :: scales :: ranges :: words -> moments scales ranges words
  | [ "lift"; scale; range; bits ] ->
      let tick, held = D.lift_answer (number scale) (number range) (number bits) in
      Z.to_string tick ^ if held then " 1" else " 0"
  | "liars" :: liars :: said ->
      two (D.liars_answer (natural (int_of_string liars)) (List.map number said))
  | [ "exp"; whole; fraction ] -> two (D.exp_answer (number whole) (number fraction))
  | [ "ln"; exponent; mantissa ] -> two (D.ln_answer (number exponent) (number mantissa))
  | _ -> failwith ("no case: " ^ line)

let () =
  try
    while true do
      print_endline (answer (input_line stdin))
    done
  with End_of_file -> ()
