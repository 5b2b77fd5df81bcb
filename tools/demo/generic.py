# SPDX-License-Identifier: Apache-2.0
"""Generic conversations: what the base learns of chatting, and the router's class "none"."""
import json
import random
import re

from shared import archive, chat_text, tidy

HELLO = ["Hello!", "Hello", "Hi", "Hi there!", "Hey", "Good morning.", "Good evening!", "Hello, how are you?",
         "Hi, how are you today?", "Good day to you.", "Hey there, how is it going?", "Greetings!"]
HELLO_BACK = ["Hello! I am Weft demo, a very small language model. What can I do for you?",
              "Hi! I am the Weft demo. Shall I tell you a story?",
              "Hello, nice to meet you. I am Weft demo. How can I help?",
              "Good day! Weft demo here. Ask me for a story, if you like."]
WHO = ["Who are you?", "What are you?", "What is your name?", "Tell me who you are.", "Introduce yourself.",
       "Are you a person?", "Are you a robot?", "Who made you?", "What should I call you?",
       "Tell me something about yourself."]
WHO_BACK = ["I am Weft demo, a very small language model with a few experts.",
            "My name is Weft demo. I am a small language model that runs on a processor.",
            "I am the Weft demo, a little model trained on old novels and short stories."]
CAN = ["What can you do?", "Can you help me?", "How can you help me?", "What do you know?",
       "What are you good at?", "Help me, please.", "What should I ask you?"]
CAN_BACK = ["I can tell a short story, continue a text or repeat what you say. My experts can do more.",
            "I can tell stories and continue a text. With an expert I can do a little more."]
THANKS = ["Thank you.", "Thanks!", "Thank you very much.", "That was nice.", "Well done!", "I like it.",
          "Great, thanks."]
THANKS_BACK = ["You are welcome!", "It was a pleasure.", "Thank you! I am glad you like it."]
BYE = ["Goodbye.", "Bye!", "See you later.", "Good night.", "I have to go now."]
BYE_BACK = ["Goodbye!", "Goodbye, and see you soon.", "Good night, sleep well."]
SMALL = [(HELLO, HELLO_BACK), (WHO, WHO_BACK), (CAN, CAN_BACK), (THANKS, THANKS_BACK), (BYE, BYE_BACK)]

STORY = ["Tell me a story.", "Tell me a short story.", "Write a story for a child.", "Once upon a time",
         "I would like to hear a story.", "Please tell me a bedtime story.", "Make up a story."]
STORY_ABOUT = ["Tell me a story about {x}.", "Write a short story about {x}.", "A story about {x}, please.",
               "Do you know a story about {x}?", "I want to read about {x}."]
CONTINUE = ["Continue this text: {x}", "How does it go on? {x}", "Please go on: {x}",
            "Continue: {x}", "What happens next? {x}"]
REPEAT = ["Repeat this: {x}", "Say this again: {x}", "Copy this: {x}", "Repeat after me: {x}",
          "Please repeat: {x}", "Echo: {x}"]
ABOUT = ["Tell me about {x}.", "What do you know about {x}?", "Who is {x}?", "Do you know {x}?"]


def stories(data):
    """The TinyStories samples, one text per story."""
    text = tidy((data / "text/tinystories/niklas/tinystories.txt").read_text())
    return [t.strip() for t in re.split(r"\n(?=Once upon a time|Once there|One day, (?:a|there))", text)]


def novels(data):
    books = archive(data / "text/novels60.tar.zst")
    books["oz"] = (data / "text/tinystories/data/tinystories.txt").read_text(errors="replace")
    return [tidy(t) for _, t in sorted(books.items())]


def sentences(text):
    return [s.strip() for s in re.split(r"(?<=[.!?])[\"']?\s+", text.replace("\n", " ")) if s.strip()]


def heroes(story):
    """What a story is about: the things of its first two sentences that carry an article."""
    opening = " ".join(sentences(story)[:2])
    return re.findall(r"\b(?:a|an) (?!time)(?:little |big |small |brave |young |old )?[a-z]{3,9}"
                      r"(?= named|\.|,| in | who)", opening)


def utterances(data):
    """Everyday requests and questions (training parts only), without their labels."""
    clinc = json.loads(next(t for n, t in archive(data / "tasks/clinc150.tar.zst").items()
                            if n.endswith("data_full.json")))
    bank = next(t for n, t in archive(data / "tasks/banking77.tar.zst").items() if n.endswith("train.csv"))
    return [t for t, _ in clinc["train"]] + [
        line.rsplit(",", 1)[0].strip('"') for line in bank.splitlines()[1:]]


def small_talk(data):
    """The utterances of CLINC150's domains small_talk and meta."""
    files = archive(data / "tasks/clinc150.tar.zst")
    domains = json.loads(next(t for n, t in files.items() if n.endswith("domains.json")))
    rows = json.loads(next(t for n, t in files.items() if n.endswith("data_full.json")))["train"]
    labels = set(domains["small_talk"])
    return [t for t, label in rows if label in labels]


def excerpt(rng, lines, low, high):
    start = rng.randrange(len(lines) - high)
    return " ".join(lines[start:start + rng.randint(low, high)])


def conversations(rng, data, texts, tales, echo):
    """Endless generic conversations. echo: strings to be repeated, so that copying is learnt on all
    kinds of characters."""
    lines = [s for t in texts for s in sentences(t) if 20 < len(s) < 160]
    about = [(h, t) for t in tales for h in heroes(t)]
    names = {}
    for i, line in enumerate(lines):
        for name in re.findall(r"(?<=[a-z,] )(?:Mr\. |Mrs\. |Miss )?[A-Z][a-z]{3,9}\b", line):
            names.setdefault(name, []).append(i)
    names = {n: ids for n, ids in names.items() if len(ids) > 20}

    def small():
        asks, answers = rng.choice(SMALL)
        return rng.choice(asks), rng.choice(answers)

    def story():
        if rng.random() < 0.3:
            return rng.choice(STORY), rng.choice(tales)
        hero, tale = rng.choice(about)
        return rng.choice(STORY_ABOUT).format(x=hero), tale

    def go_on():
        if rng.random() < 0.5:
            at = rng.randrange(len(lines) - 10)
            ask, answer = lines[at:at + 2], lines[at + 2:at + 5]
        else:
            tale = sentences(rng.choice(tales))
            cut = rng.randint(1, max(1, len(tale) - 3))
            ask, answer = tale[:cut][-3:], tale[cut:cut + 4]
        return rng.choice(CONTINUE).format(x=" ".join(ask)), " ".join(answer) or "The end."

    def repeat():
        text = rng.choice([
            lambda: rng.choice(lines), lambda: rng.choice(echo), lambda: rng.choice(echo),
            lambda: " ".join(rng.choices(rng.choice(lines).split(), k=rng.randint(2, 8))),
            lambda: " ".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 8))),
            lambda: " ".join(str(rng.randrange(10 ** rng.randint(1, 4))) for _ in range(rng.randint(1, 6))),
        ])()
        return rng.choice(REPEAT).format(x=text), text

    def tell():
        name = rng.choice(list(names))
        at = rng.choice(names[name])
        return rng.choice(ABOUT).format(x=name), " ".join(lines[at:at + 3])

    kinds = [small, story, go_on, repeat, tell]
    while True:
        picks = rng.choices(kinds, weights=[2, 3, 3, 6, 1], k=rng.choice([1, 1, 2]))
        yield chat_text([k() for k in picks])


def chat_prompts(rng, data, count):
    """Different prompts that no expert is for."""
    lines = [s for t in novels(data)[::12] for s in sentences(t) if 20 < len(s) < 120]
    tales = stories(data)
    things = sorted({h for t in tales for h in heroes(t)})
    talk = small_talk(data)
    prompts = {p for asks, _ in SMALL for p in asks} | set(STORY)
    while len(prompts) < count:
        prompts.add(rng.choice([
            lambda: rng.choice(STORY_ABOUT).format(x=rng.choice(things)),
            lambda: rng.choice(CONTINUE).format(x=rng.choice(lines)),
            lambda: rng.choice(REPEAT).format(x=rng.choice(lines)),
            lambda: rng.choice(ABOUT).format(x=rng.choice(things)),
            lambda: rng.choice(talk), lambda: rng.choice(talk),
        ])())
    prompts = sorted(prompts)
    rng.shuffle(prompts)
    return prompts[:count]
