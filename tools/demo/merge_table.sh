#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Merges six of the demo's experts into one by every method that needs no data, at ranks 16 and 64, asks the result the questions
# of all six, and writes docs/merge-table.md. Run it in the repository's root after `swift build -c release`:
#
#     tools/demo/merge_table.sh            goes on where it was stopped
#     tools/demo/merge_table.sh --fresh    begins anew
#
# WEFT names the program, LIMIT the questions per expert, THREADS the threads. What was measured is kept in .build/merge-table, one file per row.
set -eu
weft=${WEFT:-.build/release/weft}
limit=${LIMIT:-50}
asking="--loss --limit $limit ${THREADS:+--threads $THREADS}"
demo=Models/demo
experts="actions clock numbers reverse roman sort"
names=$(ls "$demo/experts" | sed 's/\.weft$//')
work=.build/merge-table
table=docs/merge-table.md
[ "${1:-}" = --fresh ] && rm -rf "$work"
mkdir -p "$work"

# method | space | weight of every expert | ranks | parameters. Ranks: - for what the method makes.
# Sums have the factor that the papers use for several tasks; averages and methods that find a size themselves have their own.
rows="
cat|concat|0.4|-|
svd|delta|0.4|16 64|
linear|factors|0.1667|-|
linear|delta|1|16 64|
task_arithmetic|delta|1|16 64|--set lambda=0.4
ties|factors|1|-|--density 0.5
ties|delta|1|16 64|--density 0.2
ties_svd|delta|1|16 64|--density 0.2
ties_paper|delta|1|16 64|
dare_linear|factors|0.4|-|--density 0.7
dare_linear|delta|0.4|16 64|--density 0.5
dare_linear_svd|delta|0.4|16 64|--density 0.5
dare_ties|factors|1|-|--density 0.7
dare_ties|delta|0.4|16 64|--density 0.5
dare_ties_svd|delta|1|16 64|--density 0.5
dare_paper|delta|0.4|16 64|--set drop=0.5
magnitude_prune|factors|0.1667|-|--density 0.5
magnitude_prune_svd|delta|0.4|16 64|--density 0.5
della|delta|1|16 64|--density 0.5
della_linear|delta|0.4|16 64|--density 0.5
della_paper|delta|1|16 64|--set drop=0.5
breadcrumbs|delta|0.4|16 64|--density 0.5
breadcrumbs_ties|delta|0.4|16 64|--density 0.5
breadcrumbs_paper|delta|0.4|16 64|--set beta=0.5
sce|delta|1|16 64|
multislerp|delta|1|16 64|
karcher|delta|1|16 64|
model_stock|delta|1|16 64|
ram|delta|1|16 64|
ramplus_tl|delta|1|16 64|
pcb|delta|1|16 64|
consensus|delta|0.4|16 64|
emr|delta|1|16 64|--set part=0
fusechat|delta|1|16 64|
lego|factors|1|16 64|
robust_merge|factors|1|-|
knots|delta|1|16 64|
knots|delta|0.4|16 64|--set inside=sum
knots|delta|1|16 64|--set inside=dare_ties --set drop=0.5
tsv_m|delta|1|16 64|
iso_c|delta|1|16 64|--set over=rank
iso_cts|delta|1|16 64|--set over=rank --set common=0.5
opcm|delta|1|16 64|
"

adapters() { # WEIGHT
    for expert in $experts; do printf '%s ' "$expert=$demo/experts/$expert.weft:$1"; done
}

questions() {
    for expert in $experts; do printf '%s ' "--data $demo/eval/$expert.jsonl"; done
}

# The shares of right answers and the losses in the order of the experts and together, from the column of that number.
shares() { # FILE COLUMN-FROM-THE-RIGHT
    awk -v back="$2" '$2 ~ /^[0-9]+$/ { gsub(/ %/, ""); printf "%s/%s ", $(NF - 1 - 2 * back), $(NF - 2 * back) }' "$1"
}

# A row of the table: NAME and the shares that stand in FILE.
line() { # NAME RANK FILE
    printf '| %s | %s |' "$1" "$2"
    for cell in $(cat "$3"); do printf ' %s · %s |' "${cell%/*}" "${cell#*/}"; done
    printf '\n'
}

keep() { # FILE COMMAND...: runs it into FILE, which exists only when it is complete
    file=$1
    shift
    "$@" > "$file.part"
    mv "$file.part" "$file"
}

if [ ! -f "$work/ways" ]; then
    # shellcheck disable=SC2046,SC2086
    keep "$work/ways" "$weft" eval $asking $(questions)
fi
echo "$rows" | while IFS='|' read -r method space weight ranks parameters; do
    [ -n "$method" ] || continue
    for rank in $ranks; do
        row="$work/$(echo "$method $space $rank $parameters" | tr -c 'a-z0-9_.=\n-' '_')"
        [ -f "$row.shares" ] && continue
        echo "$method, $space, rank $rank $parameters" >&2
        choice=""
        [ "$rank" = - ] || choice="--rank $rank"
        rm -rf "$row.merged"
        # shellcheck disable=SC2046,SC2086
        keep "$row.said" "$weft" merge --method "$method" --space "$space" $choice $parameters --model "$demo/base.gguf" \
            --output "$row.merged" $(adapters "$weight")
        # shellcheck disable=SC2046,SC2086
        keep "$row.eval" "$weft" eval --model "$demo/base.gguf" --adapter "merged=$row.merged" --only merged \
            $asking $(questions)
        shares "$row.eval" 0 > "$row.shares"
        rm -rf "$row.merged"
    done
done

# Twin-Merging: what all share beside the router's choice of what belongs to each.
if [ ! -f "$work/twin.shares" ]; then
    echo "twin_merging, with the router" >&2
    rm -rf "$work/twin"
    # shellcheck disable=SC2046
    "$weft" merge --method twin_merging --rank 16 --model "$demo/base.gguf" --output "$work/twin" \
        $(for name in $names; do printf '%s ' "$name=$demo/experts/$name.weft"; done)
    # shellcheck disable=SC2046,SC2086
    keep "$work/twin.eval" "$weft" eval --model "$demo/base.gguf" --adapter "shared=$work/twin/shared" \
        $(for name in $names; do printf -- '--adapter %s ' "$name=$work/twin/$name"; done) \
        --router "$demo/router.safetensors" --shared shared --only router $asking $(questions)
    shares "$work/twin.eval" 0 > "$work/twin.shares"
fi

{
    cat << END
# Six experts as one

The demo's experts $(echo "$experts" | sed 's/ /, /g; s/, \([a-z]*\)$/ and \1/') (ternary, rank 4 each), merged by every method that needs
no data and asked $limit questions of each task: percent of right answers, exact to the letter, and the loss in nats per token of
the right answer. \`tools/demo/merge_table.sh\` made this file. Nothing was searched on data: sums have the factor 0.4, averages
and methods that find a size themselves have their own. The rank is that of the result; six experts of rank 4 have 24 together.

| | rank |$(for expert in $experts; do printf ' %s |' "$expert"; done) together |
|---|---|$(for expert in $experts; do printf -- '---|'; done)---|
END
    for way in 'right expert:2:4' 'router:1:4' 'mixture of all ten:0:40' 'base:3:0'; do
        name=${way%%:*}
        back=${way#*:}
        shares "$work/ways" "${back%%:*}" > "$work/way"
        line "**$name**" "${back##*:}" "$work/way"
    done
    line '**twin_merging, router**' '16 + 8' "$work/twin.shares"
    echo "$rows" | while IFS='|' read -r method space weight ranks parameters; do
        [ -n "$method" ] || continue
        for rank in $ranks; do
            row="$work/$(echo "$method $space $rank $parameters" | tr -c 'a-z0-9_.=\n-' '_')"
            made=$(sed -n 's/.*rank \([0-9]*\).*/\1/p' "$row.said" | head -n 1)
            name="\`$method\`"
            case $method in linear | ties | dare_linear | dare_ties) name="$name ($space)" ;; esac
            said=$(echo "$parameters" | sed 's/--set //g; s/--density /density=/')
            [ "$weight" = 1 ] || said="weight=$weight${said:+ $said}"
            line "$name${said:+ $said}" "${made:-$rank}" "$row.shares"
        done
    done
    echo
    echo "Not in the table: \`slerp\`, \`nuslerp\` and \`arcee_fusion\` merge two; \`layer_swap\` and \`given_masks\` are told what to"
    echo "take; \`tall_masks\` makes a result for each task."
} > "$table.part"
mv "$table.part" "$table"
echo "wrote $table" >&2
