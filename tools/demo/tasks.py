#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the experts' training and test items and the router's prompts.

train/<expert>.jsonl and train/router.jsonl go to the work folder; eval/<expert>.jsonl (held-out items,
disjoint from the training items by content) and router-test.jsonl to --out. Everything is drawn from
one seed."""
import argparse
import json
import random
import re
from collections import Counter
from pathlib import Path

from generic import SMALL, chat_prompts
from shared import MODELS, archive, paths, read_jsonl, write_jsonl

ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen").split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
MONTHS = ("January February March April May June July August September October November "
          "December").split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
NOUNS = ("doctor lawyer baker banker judge king queen soldier teacher student singer painter "
         "farmer driver sailor writer actor tourist manager artist author senator scientist "
         "president secretary captain stranger neighbour brother sister friend girl boy cook "
         "servant lady gentleman officer master priest prince dog cat horse").split()
IRREGULAR = {"lady": "ladies", "gentleman": "gentlemen", "secretary": "secretaries"}
VERBS = ("supported followed believed helped called contacted admired thanked stopped visited "
         "advised avoided mentioned recommended introduced encouraged recognised loved watched "
         "invited rescued answered pushed pulled praised punished noticed remembered trusted "
         "warned kissed blamed joined passed surprised frightened").split()
FOODS = "Chinese English French Indian Italian Japanese Mexican Spanish Greek Turkish Thai".split()
KINDS = ["pub", "restaurant", "coffee shop", "tavern", "diner"]
AREAS = {"city centre": "in the city centre", "riverside": "by the riverside",
         "harbour": "near the harbour", "station": "close to the station",
         "old town": "in the old town", "park": "beside the park"}
PRICES = {"low": "cheap", "moderate": "modest", "high": "expensive"}
PLACES = [f"The {a} {b}" for a in ("Golden Blue Old Red Green Happy Silver White Black Little "
                                   "Royal Quiet").split()
          for b in ("Lion House Garden Table Horse Kitchen Boat Rose Mill Star Bridge "
                    "Lamp").split()]

INTENTS = {"AddToPlaylist": "add to playlist", "BookRestaurant": "book a restaurant",
           "GetWeather": "get the weather", "PlayMusic": "play music", "RateBook": "rate a book",
           "SearchCreativeWork": "find a work", "SearchScreeningEvent": "find a movie"}


def words(n):
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    unit, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    return f"{words(n // unit)} {name}" + (f" {words(n % unit)}" if n % unit else "")


def roman(n):
    steps = [(1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
             (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")]
    out = ""
    for value, sign in steps:
        out += sign * (n // value)
        n %= value
    return out


def clock(minute_of_day):
    h, m = divmod(minute_of_day, 60)
    hour = lambda k: ONES[(k - 1) % 12 + 1]
    if m == 0:
        return f"{hour(h)} o'clock"
    side, n, k = ("past", m, h) if m <= 30 else ("to", 60 - m, h + 1)
    part = {15: "quarter", 30: "half"}.get(n)
    if not part:
        part = words(n) if n % 5 == 0 else f"{words(n)} minute" + ("s" if n > 1 else "")
    return f"{part} {side} {hour(k)}"


def numbers(rng, data):
    return [(str(n), words(n)) for n in [*range(1000), *rng.sample(range(1000, 10000), 5000)]]


def romans(rng, data):
    return [(str(n), roman(n)) for n in range(1, 2000)]


def clocks(rng, data):
    return [(f"{t // 60:02}:{t % 60:02}", clock(t)) for t in range(1440)]


def dates(rng, data):
    days = [(y, m, d) for y in range(1900, 2100) for m in range(1, 13) for d in range(1, 29)]
    return [(f"{y}-{m:02}-{d:02}", f"{d} {MONTHS[m - 1]} {y}") for y, m, d in rng.sample(days, 9000)]


def sorts(rng, data):
    picks = {tuple(rng.sample(LETTERS, rng.randint(3, 6))) for _ in range(12000)}
    return [(" ".join(p), " ".join(sorted(p))) for p in sorted(picks)]


def reverses(rng, data):
    picks = {tuple(rng.choices(LETTERS, k=rng.randint(3, 6))) for _ in range(12000)}
    return [(" ".join(p), " ".join(reversed(p))) for p in sorted(picks)]


def passives(rng, data):
    def noun():
        one = rng.choice(NOUNS)
        return (one, "was") if rng.random() < 0.5 else (IRREGULAR.get(one, one + "s"), "were")
    items = {}
    while len(items) < 9000:
        (agent, _), verb, (thing, was) = noun(), rng.choice(VERBS), noun()
        items[f"The {agent} {verb} the {thing}."] = f"The {thing} {was} {verb} by the {agent}."
    return list(items.items())


def restaurants(rng, data):
    items = {}
    while len(items) < 9000:
        name, kind, food = rng.choice(PLACES), rng.choice(KINDS), rng.choice(FOODS)
        area, price = rng.choice(list(AREAS)), rng.choice(list(PRICES))
        fields = [("kind", kind), ("food", food), ("area", area), ("price", price)]
        rng.shuffle(fields)
        key = ", ".join(f"{k}: {v}" for k, v in [("name", name), *fields])
        article = "an" if price == "high" else "a"
        items[key] = f"{name} is {article} {PRICES[price]} {kind} with {food} food {AREAS[area]}."
    return list(items.items())


def actions(rng, data):
    items = []
    for text in archive(data / "tasks/scan.tar.zst").values():
        for line in text.splitlines():
            command, moves = line.removeprefix("IN: ").split(" OUT: ")
            moves = moves.replace("I_TURN_", "").replace("I_", "").lower()
            if moves.count(" ") < 18 and not re.search(r"\b(\w+)( \1){4}", moves):
                items.append((command, moves))
    return items


def intents(rng, data):
    items = {}
    for name, text in sorted(archive(data / "tasks/snips.tar.zst").items()):
        if not Path(name).name.startswith(("train_", "validate_")):
            continue
        for label, rows in json.loads(text).items():
            for row in rows:
                request = "".join(part["text"] for part in row["data"])
                request = " ".join(request.split())
                if "\ufffd" not in request:
                    items[request] = INTENTS[label]
    return list(items.items())


TASKS = {
    "numbers": (numbers, ["Write {x} in words.", "How do you spell out the number {x}?",
                          "Put the number {x} into English words.", "{x} in words, please.",
                          "Say {x} as words.", "What is {x} written out in full?",
                          "Spell out {x}.", "Write the number {x} as text."]),
    "roman": (romans, ["Write {x} as a Roman numeral.", "What is {x} in Roman numerals?",
                       "Convert {x} to Roman numerals.", "Roman numeral for {x}?",
                       "How did the Romans write {x}?", "Give me {x} in Roman numerals.",
                       "Turn {x} into a Roman numeral.", "{x} as a Roman number, please."]),
    "clock": (clocks, ["It is {x}. How do you say that?", "Say the time {x} in words.",
                       "What time is {x}?", "Read the clock: {x}", "How do people say {x}?",
                       "Tell me the time {x} in plain English.", "The clock shows {x}. Read it out.",
                       "Read out the time {x}."]),
    "dates": (dates, ["Write the date {x} in full.", "What day is {x}?",
                      "Write out {x} as a date.", "Turn {x} into a readable date.",
                      "Format the date {x}.", "{x} as a long date, please.",
                      "How do you write the date {x}?", "Give the full date for {x}."]),
    "sort": (sorts, ["Sort these letters: {x}", "Put the letters {x} in alphabetical order.",
                     "Alphabetical order, please: {x}", "Order the letters {x} from a to z.",
                     "Arrange these letters alphabetically: {x}", "Can you sort {x} for me?",
                     "Sort {x}", "Which order do the letters {x} have in the alphabet?"]),
    "reverse": (reverses, ["Reverse these letters: {x}", "Write the letters {x} backwards.",
                           "Say {x} from the end to the start.", "Turn around the letters {x}",
                           "Backwards, please: {x}", "Can you reverse {x} for me?",
                           "What is {x} in reverse?", "Read these letters backwards: {x}"]),
    "passive": (passives, ["Make this sentence passive: {x}", "Turn into the passive voice: {x}",
                           "Passive voice, please: {x}", "Rewrite in the passive. {x}",
                           "What is the passive form of this sentence? {x}",
                           "Change from active to passive: {x}",
                           "Rephrase with the object first: {x}", "Put it in the passive: {x}"]),
    "describe": (restaurants, ["Describe this place: {x}", "Write a sentence about it. {x}",
                               "Turn these facts into a sentence: {x}",
                               "Make a short description from {x}", "Describe: {x}",
                               "Introduce this place to a guest: {x}",
                               "Say this in one sentence: {x}", "Write it as text: {x}"]),
    "actions": (actions, ["What are the steps for: {x}", "Give the moves for the robot: {x}",
                          "Robot, {x}", "List the actions: {x}", "Robot command: {x}",
                          "Translate the command into moves: {x}",
                          "Which moves does the robot make to {x}?", "Plan this: {x}"]),
    "intent": (intents, ["What is the intent of this request? {x}", "Classify the request: {x}",
                         "Which intent is this: {x}", "Intent of: {x}",
                         "What does the user want? {x}", "Label this request: {x}",
                         "Name the intent. {x}", "Find the intent: {x}"]),
}

# More wordings for the router alone, so that it goes by what is asked and not by how.
ROUTER_WORDINGS = {
    "numbers": ["{x} in letters", "What is {x} as English words?", "Read the number {x} aloud.",
                "Please write out {x}.", "number {x} to words", "Which words do I say for {x}?",
                "Could you say {x} with words?", "the number {x} in plain English", "{x} as text",
                "How do I read {x}?", "I want {x} spelled out in English words.",
                "Can you give me the words for {x}?"],
    "roman": ["{x} to roman", "roman numerals: {x}", "Number {x} in the old Roman way, please.",
              "What did a Roman write for {x}?", "Show me {x} with the letters I, V, X, L, C, D and M.",
              "Please make {x} a Roman numeral.", "Which roman number is {x}?", "the roman form of {x}",
              "I need {x} on a clock face in Roman digits.", "Roman style for the number {x}?",
              "How does the number {x} look in Roman numerals?", "Can you give me the roman for {x}?"],
    "clock": ["{x} in spoken English", "Somebody asks the time. It is {x}. What do I say?",
              "The watch says {x}.", "time {x} in words", "How late is it at {x}?",
              "Please read the time {x} to me.", "My phone shows {x}. How do I say it?",
              "Could you say what time {x} is?", "{x} on the clock, in words", "the time {x} as words",
              "When I look at the clock, it shows {x}.", "Can you tell the time? It is {x}."],
    "dates": ["{x} written out", "date: {x}", "Please write the day {x} with the month's name.",
              "The letter is dated {x}. Write it nicely."],
    "sort": ["alphabetically: {x}", "{x} sorted", "Please order {x}", "Line up {x} as in the alphabet.",
             "Put {x} in order", "Bring the letters {x} into the right order.", "a to z: {x}",
             "Which comes first in the alphabet? {x}", "Could you alphabetise {x}?",
             "Give me {x} in sorted order.", "sort alphabetically {x}", "order of the alphabet for {x}"],
    "reverse": ["backwards: {x}", "{x} reversed", "Please turn {x} round", "Read {x} from right to left.",
                "Start at the end: {x}", "Mirror the letters {x}", "last letter first: {x}",
                "Spell {x} the other way round.", "Could you write {x} backward?",
                "Give me {x} from back to front.", "reverse order: {x}", "the other way round: {x}"],
    "passive": ["{x} Say it in the passive.", "passive: {x}", "Who was it done by? Rewrite: {x}",
                "Write this with was or were: {x}", "Please turn it round into the passive voice. {x}",
                "{x} What is the passive?"],
    "describe": ["Facts: {x}", "Put this into words: {x}", "What kind of place is this? {x}",
                 "Say something about this place. {x}"],
    "actions": ["Robot: {x}", "Make the robot {x}", "command: {x}", "What does the robot do for {x}?"],
    "intent": ["intent? {x}", "A user said: {x} What is meant?", "Sort this request into a class: {x}",
               "Recognise the intent: {x}", "{x} What is the intent?", "Which kind of request is it? {x}"],
}


def split(name, data, held_out, seed):
    """The task's (input, answer) items as a training list and a test list."""
    rng = random.Random(f"{name}-{seed}")
    items = sorted(set(TASKS[name][0](rng, data)))
    rng.shuffle(items)
    return items[held_out:], items[:held_out]


def rows(phrasings, items, count, rng):
    """count lines of {prompt, answer}: every item once, then again in other phrasings; of numbers,
    the few short ones as often as the many long ones."""
    sizes = Counter(len(x) for x, _ in items)
    weights = [1 / sizes[len(x)] if x.isdigit() else 1 for x, _ in items]
    picks = items[:count] + rng.choices(items, weights, k=max(0, count - len(items)))
    return [{"prompt": rng.choice(phrasings).format(x=x), "answer": y} for x, y in picks]


def earlier_turns(work, rng, low, high):
    """A function that draws low to high turns of other conversations: small talk and all tasks."""
    turns = [(r["prompt"], r["answer"]) for name in TASKS
             for r in read_jsonl(work / "train" / f"{name}.jsonl")[:1000]]
    small = [(ask, back) for asks, answers in SMALL for ask in asks for back in answers]
    return lambda: [rng.choice(rng.choice([turns, small])) for _ in range(rng.randint(low, high))]


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--out", type=Path, default=MODELS, help="folder of the test items")
    parser.add_argument("--train-rows", type=int, default=12000)
    parser.add_argument("--test-rows", type=int, default=250)
    parser.add_argument("--router-train", type=int, default=300,
                        help="prompts per class in the experts' wordings, and as many in others")
    parser.add_argument("--router-test", type=int, default=100, help="prompts per class")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    router = {"train": [], "test": []}
    for name in TASKS:
        train, test = split(name, args.data, args.test_rows, args.seed)
        assert not {x for x, _ in train} & {x for x, _ in test}
        train_rows = rows(TASKS[name][1], train, args.train_rows, rng)
        test_rows = rows(TASKS[name][1], test, args.test_rows, rng)
        write_jsonl(args.work / "train" / f"{name}.jsonl", train_rows)
        write_jsonl(args.out / "eval" / f"{name}.jsonl", test_rows)
        more = rows(ROUTER_WORDINGS[name], train, args.router_train, random.Random(name))
        router["train"] += [{"prompt": r["prompt"], "adapter": name} for r in more]
        for part, source, count in (("train", train_rows, args.router_train),
                                    ("test", test_rows, args.router_test)):
            router[part] += [{"prompt": r["prompt"], "adapter": name}
                             for r in rng.sample(source, count)]
        print(f"{name:10} {len(train):6} training items, {len(test)} held out, "
              f"e.g. {test_rows[0]['prompt']!r} -> {test_rows[0]['answer']!r}")
    plain = chat_prompts(random.Random(args.seed), args.data, 2 * args.router_train + args.router_test)
    for part, picks in (("train", plain[args.router_test:]), ("test", plain[:args.router_test])):
        router[part] += [{"prompt": p, "adapter": "none"} for p in picks]
        rng.shuffle(router[part])
    write_jsonl(args.work / "train" / "router.jsonl", router["train"])
    write_jsonl(args.out / "router-test.jsonl", router["test"])


if __name__ == "__main__":
    main()
