#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/templates: what Python's jinja2, set up by transformers, renders.

    python tools/make_template_goldens.py                     everything
    python tools/make_template_goldens.py --check             everything, compared with what is committed
    python tools/make_template_goldens.py --show NAME CASE    one rendering of a template as text

`templates.json`: every template of shared/data/templates/jinja over the conversations below, as byte count and FNV-1a hash of
the output, or the message with which the template refuses. `snippets.json`: the language itself, with full output; its own list
below and the unit cases of shared/data/templates/jinja_cases.json (whose own expectations follow huggingface.js instead).
Needs transformers and jinja2.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "Tests" / "Goldens" / "templates"
NOON = 1753963200  # 2025-07-31 12:00 UTC: the same date in nearly every time zone

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city, e.g. \"Zürich\" & others.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Name of the city"},
                    "days": {"type": "integer", "description": "How many days <= 7", "default": 3},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                    "options": {
                        "type": "object",
                        "properties": {"hourly": {"type": "boolean"}, "names": {"type": "array", "items": {"type": "string"}}},
                        "required": ["hourly"],
                    },
                },
                "required": ["city"],
                "additionalProperties": False,
            },
            "return": {"type": "number", "description": "Degrees"},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "roll",
            "description": "Rolls a die.",
            "parameters": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        },
    },
]


def call(arguments, identity="call12345"):
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": identity, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}],
    }


SYSTEM = {"role": "system", "content": "You are  terse.\nAnswer in English."}
TURNS = [
    {"role": "user", "content": "Hello, it's 3 < 4?\n"},
    {"role": "assistant", "content": "<think>\nEasy.\n</think>\n\nYes: 3 < 4 & \"true\"."},
    {"role": "user", "content": "  Grüße 🤗 auf Wiedersehen  "},
]
ANSWER = {"role": "tool", "tool_call_id": "call12345", "name": "get_weather", "content": "{\"degrees\": 21.5}"}
ARGUMENTS = {"city": "Zürich", "days": 2, "exact": True, "unit": None, "factor": 1.5, "options": {"names": ["a", "b"]}}
PARTS = [{"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]}]

PARALLEL = {
    "role": "assistant", "content": "Both at once.", "reasoning_content": "Two tools.", "tool_calls": [
        {"id": "callAAAA1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "S\u00e3o Paulo", "days": 1, "list": [1, [2]], "empty": {}}}},
        {"id": "callBBBB2", "type": "function", "function": {"name": "roll", "arguments": {}}},
    ],
}
RESULTS = [
    {"role": "tool", "tool_call_id": "callAAAA1", "name": "get_weather", "content": "{\"degrees\": [21, 22]}"},
    {"role": "tool", "tool_call_id": "callBBBB2", "name": "roll", "content": "6"},
]
ODD_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search", "description": "Finds <b>things</b>.\nOn two lines.", "strict": True,
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": ["string", "null"], "description": "What"},
                    "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "minimum": 1},
                    "filters": {"type": "array", "items": {"type": "object", "properties": {"key": {"type": "string", "enum": ["a", "b"]}}}},
                    "point": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0.5}}, "required": ["x"]},
                },
                "required": ["query", "limit"],
            },
        },
    },
]

# Conversations; every one also gets the variables below.
CASES = {
    "one turn": {"messages": TURNS[:1], "add_generation_prompt": True},
    "turns": {"messages": [SYSTEM, *TURNS], "add_generation_prompt": True},
    "no prompt": {"messages": TURNS[:2], "add_generation_prompt": False},
    "tools": {"messages": [SYSTEM, *TURNS], "tools": TOOLS, "add_generation_prompt": True},
    "tool call": {"messages": [SYSTEM, TURNS[0], call(ARGUMENTS)], "tools": TOOLS, "add_generation_prompt": False},
    "tool answer": {
        "messages": [TURNS[0], call(ARGUMENTS), ANSWER, TURNS[1], TURNS[2]], "tools": TOOLS, "add_generation_prompt": True,
    },
    "tool answer, text arguments": {
        "messages": [TURNS[0], call(json.dumps(ARGUMENTS)), ANSWER], "tools": TOOLS, "add_generation_prompt": True,
    },
    "no thinking": {"messages": TURNS, "add_generation_prompt": True, "enable_thinking": False, "thinking": False},
    "parts": {"messages": PARTS, "add_generation_prompt": True},
    "wrong order": {"messages": [TURNS[1], TURNS[1]], "add_generation_prompt": True},
    "thinking": {"messages": [SYSTEM, *TURNS], "add_generation_prompt": True, "enable_thinking": True, "thinking": True, "reasoning_effort": "high"},
    "two calls, two answers": {
        "messages": [SYSTEM, TURNS[0], PARALLEL, *RESULTS, {"role": "assistant", "content": "Warm, and six."}, TURNS[2]], "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "answers last": {"messages": [TURNS[0], PARALLEL, *RESULTS], "tools": TOOLS + ODD_TOOLS, "add_generation_prompt": True, "enable_thinking": True},
    "call without content": {
        "messages": [TURNS[0], {key: value for key, value in call(ARGUMENTS).items() if key != "content"}, ANSWER], "tools": TOOLS,
        "add_generation_prompt": False,
    },
    "content none": {"messages": [TURNS[0], call(ARGUMENTS) | {"content": None}, ANSWER], "tools": ODD_TOOLS, "add_generation_prompt": True},
    "odd tools": {"messages": TURNS[:1], "tools": ODD_TOOLS, "add_generation_prompt": True},
    "no tools": {"messages": [SYSTEM, TURNS[0]], "tools": [], "add_generation_prompt": True},
    "parts and system": {
        "messages": [{"role": "system", "content": [{"type": "text", "text": "Be kind."}]}, *PARTS, TURNS[1], {"role": "user", "content": ""}],
        "add_generation_prompt": True,
    },
    "reasoning": {
        "messages": [TURNS[0], {"role": "assistant", "reasoning_content": "Hm.\nWell.", "content": "Yes."}, TURNS[2],
                     {"role": "assistant", "thinking": "So.", "content": "  Indeed. "}], "add_generation_prompt": False,
    },
    "developer": {"messages": [{"role": "developer", "content": "Obey."}, *TURNS], "add_generation_prompt": True},
    "many turns": {"messages": [SYSTEM] + TURNS[:2] * 6 + [TURNS[2]], "add_generation_prompt": True, "date_string": "01 Jan 2025"},
    "documents": {
        "messages": TURNS, "add_generation_prompt": True,
        "documents": [{"title": "T\u00f6ne", "text": "One."}, {"title": "Two", "text": "a\nb", "doc_id": 7}],
    },
    "only system": {"messages": [SYSTEM], "add_generation_prompt": True},
    "none": {"messages": [], "add_generation_prompt": True},
}
# What single templates ask for beside the messages.
OTHERS = {"bos_token": "<bos>", "eos_token": "<eos>", "functions": "[]", "datetime": "2025-07-31"}

SNIPPETS = [
    # Whitespace
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a \n {%- if true -%} \n b \n {%- endif -%} \n c",
    "a\n  {%+ if true %} b{%+ endif +%}\nc", "  {# one #}\nx {# two #}\ny{#- three -#}\n z\n\n", "{{ 1 }}\n{{ 2 }}\n",
    "  {{ 1 }}\n  {%- set x = 2 %}\n  {{- x }} \n", "a{% raw %}\n {{ x }} {% y %}{% endraw %}\nb", "a {%- raw -%} \n {{ x }} {%- endraw -%} b",
    "a\r\nb\r{% if 1 %}\r\nc{% endif %}", "{% set x %}\n a \n{% endset %}[{{ x }}]", "{% if 1 %}\n\n\nx{% endif %}\n\n",
    "{%- for x in [1,2] %}\n{{ x }}\n{%- endfor %}\n!", "{% for x in [1,2] -%}\n {{ x }}\n{% endfor -%}\n!", "x  {%- if 1 +%}\ny{% endif %}",
    # Text of values
    "{{ [1, 'a', \"it's\", 'q\"', 'b\\'\"', true, none, 1.0, (1,), (1, 2), {'k': 'v', 2: []}] }}", "{{ 'é\\n\\t\\\\\\x00\\u200b' }}{{ ['é\\n\\t\\\\\\x00\\u200b\\u00a0🤗'] }}",
    "{{ 1e16 }} {{ 1e15 }} {{ 123456789012345680.0 }} {{ 1e-5 }} {{ 0.0001 }} {{ -0.0 }} {{ 1e100 }} {{ 1.5e3 }} {{ 0.1 + 0.2 }}",
    "{{ 7 / 2 }} {{ 6 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 % 2 }} {{ -7.5 % 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2.0 ** 3 }}",
    "{{ 1_000 }} {{ true + 1 }} {{ 'ab' * 3 }} {{ [1] * 2 }} {{ 3 * 'x' }} {{ [1] + [2] }} {{ (1,) + (2,) }}",
    "{{ none }} {{ undefined_name }} {{ true and none }} {{ 'x' ~ none ~ 1.0 ~ true ~ [1] }}", "{{ 1, 2 }} {{ () }} {{ (1) }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' == 'a' }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1.0} }}",
    "{{ 1 in [true] }} {{ 'b' in 'abc' }} {{ 'k' in {'k': 1} }} {{ 2 not in [1] }} {{ 1 in undefined_name }}", "{{ 'é' == 'e\u0301' }} {{ 'é' | length }} {{ 'e\u0301🤗' | length }}",
    # Scopes and loops
    "{% for i in range(3) %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }};{% endfor %}",
    "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}", "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ',' if not loop.last }}{% else %}none{% endfor %}",
    "{% for x in [1, 2, 3, 4] if x is even %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}", "{% for x in [] %}a{% else %}{{ loop is defined }}{% endfor %}",
    "{% for n in tree recursive %}{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %}{{ loop.depth }}{% endfor %}", "{% for x in [1,2,3] %}{% if x == 2 %}{% continue %}{% endif %}{% for y in [1,2] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 1 %}{{ x }} {% endfor %}{{ x }}", "{% if true %}{% set y = 5 %}{% endif %}{{ y }}", "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a }}",
    "{% macro f() %}{{ z }}{% endmacro %}{% set z = 3 %}{{ f() }}", "{% macro f(a, b=a, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, c=2) }} {{ f() }} {{ f(b=3, a=2) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, k=3) }}", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}", "{% macro f() %}{{ caller is defined }}{% endmacro %}{{ f() }}{% call f() %}{% endcall %}",
    "{% macro f(x) %}<{{ caller(x, 2) }}>{% endmacro %}{% call(a, b) f(1) %}{{ a }}{{ b }}{% endcall %}", "{% set ns = namespace(a=1, b=[]) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% set ns.b = ns.b + [i] %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.missing is defined }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = 'xy' %}{{ c }}{{ d }}", "{% set x | upper | trim %} ab {% endset %}[{{ x }}]", "{% filter upper | replace('B', 'x') %}ab{% endfilter %}", "{% generation %}a{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{{ 'a' if 0 else 'b' if 0 else 'c' }} {{ ('x' if false) is defined }} {{ ('x' if false) }}|", "{{ f.g.h is defined }}", "{{ f.g is defined }}", "{% set f = {'g': 1} %}{{ f.h is defined }}{{ f['h'] is undefined }}{{ f.h }}{{ f.get('h') }}{{ f.get('h', 2) }}{{ f.items is defined }}",
    # Methods
    "{{ ' a b '.strip() }}|{{ 'xaxx'.strip('x') }}|{{ 'xxa'.lstrip('x') }}|{{ 'a..'.rstrip('.') }}|{{ '\\u00a0\\x1fa\\u3000'.strip() }}", "{{ 'a,b,,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a b c'.split(' ', 1) }}{{ 'a b c'.rsplit(' ', 1) }}{{ ' a  b c'.rsplit(none, 1) }}{{ ''.split() }}{{ ''.split(',') }}{{ 'aXbxc'.split('x')[-1] }}",
    "{{ 'a\\nb\\r\\nc\\n'.splitlines() }}", "{{ 'abc'.startswith('ab') }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'abc'.endswith('c') }}{{ 'abc'.endswith(('x',)) }}", "{{ 'aaa'.replace('a', 'b') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'ab'.replace('', '-') }}{{ 'aXa'.replace('X', '') }}",
    "{{ 'hello wORLD it\\'s'.title() }}|{{ 'hello wORLD it\\'s-a (b' | title }}|{{ 'hELLO Wo'.capitalize() }}|{{ 'ßa' | capitalize }}|{{ 'Straße'.upper() }}|{{ 'ÀÉ'.lower() }}|{{ 'aB'.swapcase() }}", "{{ 'éab'.find('a') }}{{ 'abab'.rfind('ab') }}{{ 'aaa'.rfind('aa') }}{{ 'abc'.find('x') }}{{ 'éb'.index('b') }}{{ 'aaaa'.count('aa') }}{{ 'abc'.count('') }}",
    "{{ ','.join(['a', 'b']) }}{{ 'a1'.isalnum() }}{{ '12'.isdigit() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}{{ 'AB1'.isupper() }}{{ 'ab1'.islower() }}{{ ''.isdigit() }}", "{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3, '.') }}|{{ 'ab'.center(5, '*') }}|{{ 'abc'.center(6) }}|{{ 'a' | center(4) }}|",
    "{{ 'abc'.removeprefix('a').removesuffix('c') }}{{ 'a=b=c'.partition('=') }}{{ 'a=b=c'.rpartition('=') }}{{ 'abc'.partition('=') }}", "{% set d = {'a': 1, 'b': 2} %}{{ d.keys() | list }}{{ d.values() | list }}{{ d.items() | list }}{{ d | items | list }}{{ d | list }}{{ d | length }}{{ d.a }}{{ d['b'] }}", "{{ [1, 2, 1].count(1) }}{{ [1, 2].index(2) }}{{ (1, 2).index(1) }}",
    # Indexing
    "{{ 'héllo'[1] }}{{ 'héllo'[-1] }}{{ 'héllo'[1:3] }}{{ 'héllo'[::-1] }}{{ [1, 2, 3][-2:] }}{{ [1, 2, 3][:-1] }}{{ [1, 2, 3][5] is defined }}{{ [1, 2, 3][::2] }}{{ (1, 2, 3)[1:] }}{{ [1, 2, 3][-9:9] }}{{ [1, 2, 3][2:0:-1] }}", "{{ [[1, 2], [3]].0.1 }}{{ {'a': {'b': 1}}.a.b }}{{ {1: 'x'}[1] }}{{ {true: 'y'}[1] }}",
    # Filters
    "{{ [1, 2] | tojson }}{{ {'a': 'é<>&\\'\"', 'b': none, 'c': [], 'd': {}, 'e': 1.0, 'f': true} | tojson }}{{ {'a': [1, {'b': 2}], 'c': [], 'd': {}} | tojson(indent=2) }}{{ {'b': 1, 'a': 'é🤗'} | tojson(ensure_ascii=true, sort_keys=true) }}{{ {1: 2, none: 3, true: 4} | tojson }}{{ 'a' | tojson }}{{ [1, 2] | tojson(separators=(',', ':')) }}{{ 1e16 | tojson }}",
    "{{ ['b', 'A', 'c'] | sort }}{{ ['b', 'A', 'c'] | sort(case_sensitive=true) }}{{ [3, 1, 2] | sort(reverse=true) }}{{ [{'a': 2, 'n': 1}, {'a': 1, 'n': 2}, {'a': 2, 'n': 0}] | sort(attribute='a,n') }}", "{{ {'b': 1, 'A': 2, 'c': 0} | dictsort }}{{ {'b': 1, 'a': 2} | dictsort(by='value', reverse=true) }}{{ {'b': 1, 'A': 2} | dictsort(true) }}",
    "{{ [1, 2, 3] | first }}{{ [1, 2, 3] | last }}{{ 'abc' | first }}{{ [1, 2] | join }}{{ [1, 2] | join('-') }}{{ [{'a': 1}, {'a': 2}] | join(',', attribute='a') }}{{ [1, 2, 3] | sum }}{{ [{'a': 1}, {'a': 2}] | sum(attribute='a') }}{{ [3, 1] | min }}{{ [3, 1] | max }}{{ [] | first is defined }}",
    "{{ ['a', 'B', 'b'] | unique | list }}{{ [1, 2, 3] | reverse | list }}{{ 'abc' | reverse }}{{ [1, 2, 3, 4, 5] | batch(2, 'x') | list }}{{ [1, 2, 3, 4, 5] | slice(2, 'x') | list }}{{ 'abc' | list }}", "{% for k, g in [{'t': 'b', 'n': 1}, {'t': 'a', 'n': 2}, {'t': 'b', 'n': 3}] | groupby('t') %}{{ k }}:{{ g | map(attribute='n') | join(',') }};{% endfor %}",
    "{{ [1, 2, 3, 4] | select('even') | list }}{{ [1, 0, 2] | select | list }}{{ [1, 2, 3] | reject('gt', 1) | list }}{{ [{'a': 1}, {}] | selectattr('a') | list }}{{ [{'a': 1}, {'a': 2}] | rejectattr('a', 'equalto', 1) | list }}{{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }}{{ [{}, {'a': 1}] | map(attribute='a', default='x') | list }}{{ ['a', 'b'] | map('upper') | join }}{{ ['ab'] | map('replace', 'a', 'x') | list }}",
    "{{ 'a\\nb\\n\\nc' | indent }}|{{ 'a\\nb' | indent(2, true) }}|{{ 'a\\n\\nb' | indent(2, blank=true) }}|{{ 'a\\nb\\n' | indent('> ') }}|", "{{ 3.7 | int }}{{ '12' | int }}{{ ' 5 ' | int }}{{ 'x' | int(7) }}{{ '0x1f' | int(base=16) }}{{ '3.9' | int }}{{ '1e2' | float }}{{ none | int }}{{ 2.5 | round }}{{ 3.14159 | round(2) }}{{ 2.1 | round(method='ceil') }}{{ 2.19 | round(1, 'floor') }}{{ 42 | round }}{{ -3 | abs }}{{ 2.675 | round(2) }}",
    "{{ '%s is %d, %05.2f %-4s| %r %x %%' | format('a', 42, 3.14159, 'b', 'c', 255) }}{{ '%s-%s' % ('a', 1) }}{{ '%02d' % 7 }}{{ '%.3s' % 'abcdef' }}{{ '%+d' % 3 }}{{ '%5s|%-5d|' % ('a', 3) }}{{ '%d' % 2.9 }}", "{{ 'foo bar baz qux' | truncate(9) }}|{{ 'foo bar baz qux' | truncate(9, true) }}|{{ 'foo bar baz' | truncate(9, end='') }}|{{ 'foo bar' | truncate(5, leeway=0, end='~') }}|{{ 'a b-c  d' | wordcount }}",
    "{{ '<a href=\"x\">\\'&' | escape }}{{ '  a ' | trim }}{{ 'xxaxx' | trim('x') }}{{ x | default('d') }}{{ '' | default('d') }}{{ '' | d('d', true) }}{{ none | default('d') }}{{ x | upper }}{{ x | length }}{{ x | list }}{{ x | join(',') }}{{ 5 | string ~ 1 }}{{ none | string }}{{ 1 | upper }}{{ {'a': 1} | attr('a') is defined }}",
    # Tests
    "{{ 1 is number }}{{ true is number }}{{ true is integer }}{{ 1 is integer }}{{ 1.0 is float }}{{ 'a' is string }}{{ [] is sequence }}{{ 'a' is sequence }}{{ {} is sequence }}{{ {} is mapping }}{{ {} is iterable }}{{ 1 is iterable }}{{ x is iterable }}{{ none is none }}{{ x is none }}{{ x is defined }}{{ x is undefined }}{{ range is callable }}{{ 4 is divisibleby 2 }}{{ 4 is divisibleby(3) }}{{ 'A' is upper }}{{ 'a' is lower }}{{ 1 is in [1, 2] }}{{ 3 is not in [1] }}{{ 1 is eq 1 }}{{ 2 is gt(1) }}{{ 1 is sameas 1 }}{{ true is sameas true }}{{ none is sameas none }}{{ 'upper' is filter }}{{ 'nope' is filter }}{{ 'odd' is test }}{{ false is false }}{{ 0 is false }}{{ 1 is true }}{{ 1 is odd }}{{ true is boolean }}{{ () is sequence }}",
    "{{ not x is defined }}{{ x is not defined and 1 }}{{ 'a' is string and 'b' is not string or 3 }}{{ 1 + 1 is number }}{{ 2 * 3 is number }}{{ -1 | abs }}{{ (-1) | abs }}{{ 'a' ~ 'b' | upper }}{{ 1 + 2 | string | length }}{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 1 ~ 2 ~ 3 * 4 }}",
    "{{ dict(a=1, b=2) }}{{ dict([('x', 1)]) }}{{ dict({'y': 1}, z=2) }}{{ range(3) | list }}{{ range(1, 6, 2) | list }}{{ range(3, 0, -1) | list }}{{ range(0) | list }}", "{{ strftime_now('%Y-%m-%d %d %b %Y %B %A') }}", "{{ 'a' 'b' }}{{ \"x\\\"y\" }}{{ 'a\\\nb' }}{{ '\\x41\\101\\u00e9\\q' }}", "{{ {'a': 1,} }}{{ [1, 2,] }}{{ range(2,) | list }}",
    # Must fail
    "{{ x.y }}", "{{ x['y'] }}", "{{ x + 1 }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ [] + 'a' }}", "{{ 1 < 'a' }}", "{{ none | length }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ [1, 'a'] | sort }}", "{{ x() }}", "{{ 'a'() }}", "{{ 'abc'.nope() }}", "{{ {}.update({}) }}",
    "{{ [].append(1) }}", "{{ x | tojson }}", "{% for a, b in [1] %}{% endfor %}", "{% set q = {} %}{% set q.a = 1 %}", "{{ 1 is nope }}", "{{ 1 | nope }}", "{{ raise_exception('no') }}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "{{ 1 in 'abc' }}", "{% for x in 5 %}{% endfor %}",
    "{% if %}{% endif %}", "{% if 1 %}", "{% endif %}", "{{ 1", "{{ (1 }}", "{{ 1 2 }}", "{% nope %}", "{% break %}", "{{ 'a }}", "{# a", "{% raw %} a", "{{ }}", "{% for x of y %}{% endfor %}", "{% set 1 = 2 %}", "{{ a b }}", "{{ 1 | }}", "{{ f(a=1, 2) }}", "{{ [1 }}", "{{ {1} }}", "{{ x[ }}", "{{ range(1000000) }}", "{% set ns = namespace() %}{% set ns._a = 1 %}",
]
CONTEXT = {"tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4}]}]}, {"v": 5}]}


def strftime_now(pattern):
    return datetime.datetime.fromtimestamp(NOON).strftime(pattern)


def render(source, variables):
    """The output, or how it fails: `refuses` when the template says so itself, else `fails`."""
    try:
        template = _compile_jinja_template(source)
        return {"output": template.render(**variables, strftime_now=strftime_now)}
    except Exception as error:  # whatever Python raises is the expectation
        kind = "refuses" if type(error).__name__ == "TemplateError" else "fails"
        return {kind: str(error)}


def fnv1a(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest:016x}"


def variables_of(case):
    return {"tools": None, "documents": None, **OTHERS, **CASES[case]}


def make(shared):
    templates = []
    for path in sorted((shared / "jinja").glob("*.jinja")):
        for case in CASES:
            result = render(path.read_text(), variables_of(case))
            if "output" in result:
                data = result["output"].encode()
                result = {"bytes": len(data), "fnv1a": fnv1a(data)}
            templates.append({"template": path.name, "case": case, **result})
    snippets = [{"template": text, **render(text, CONTEXT)} for text in SNIPPETS]
    units = json.loads((shared / "jinja_cases.json").read_text())
    units = [{"name": unit["name"], **render(unit["template"], unit["context"])} for unit in units]
    return {
        "templates.json": {"secondsSinceEpoch": NOON, "variables": {case: variables_of(case) for case in CASES}, "renderings": templates},
        "snippets.json": {"secondsSinceEpoch": NOON, "variables": CONTEXT, "snippets": snippets, "units": units},
    }


def compact(value):
    """JSON with one element of every list on a line."""
    parts = []
    for key, part in value.items():
        if isinstance(part, list):
            lines = ",\n".join(json.dumps(element, ensure_ascii=False) for element in part)
            parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(part, ensure_ascii=False)}")
    return "{" + ",\n".join(parts) + "}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--show", nargs=2, metavar=("NAME", "CASE"))
    parser.add_argument("--shared", type=pathlib.Path, default=os.environ.get("WEFT_SHARED"))
    options = parser.parse_args()
    folders = [options.shared] if options.shared else [ROOT.parent / "shared", ROOT.parent.parent / "shared"]
    shared = next((pathlib.Path(folder) / "data" / "templates" for folder in folders if (pathlib.Path(folder) / "data").exists()), None)
    if shared is None:
        sys.exit("the shared data is absent: set WEFT_SHARED or put it beside the package")
    if options.show:
        name, case = options.show
        result = render((shared / "jinja" / name).read_text(), variables_of(case))
        print(result.get("output", result), end="")
        return
    readme = (
        "# Templates\n\nWhat `python tools/make_template_goldens.py` printed, with "
        + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "jinja2"))
        + ".\nThe cases, the snippets and the meaning of the fields are in that script.\n"
    )
    files = {"README.md": readme, **{name: compact(value) for name, value in make(shared).items()}}
    different = []
    for name, text in files.items():
        path = GOLDENS / name
        if options.check:
            if not path.exists() or path.read_text() != text:
                different.append(name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if different:
        sys.exit(f"different from what is committed: {', '.join(different)}")


if __name__ == "__main__":
    main()
