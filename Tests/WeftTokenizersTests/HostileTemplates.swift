// SPDX-License-Identifier: Apache-2.0

enum HostileTemplates {
  /// Every template here asks for more time, memory or stack than a rendering gets.
  static let all = [
    // Time
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for a in t recursive %}{{ loop(t) }}{% endfor %}",
    "{% set s = 'a' * 60000000 %}{% for a in range(100000) %}{{ s | length }}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for a in range(100000) %}{% if ('a' * 1000 ~ 'b') in s %}{% endif %}{% endfor %}",
    "{% for a in range(100000) %}{% if a in range(100000) | list and range(100000) | sort | unique %}{% endif %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x == n.x }}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ [n.x, n.x] | sort }}",
    "{% set n = namespace(x=[1]) %}{% for a in range(60) %}{% set n.x = (n.x, n.x) %}{% endfor %}{{ {n.x: 1}[n.x] }}",
    // Memory
    "{{ 'a' * 9223372036854775807 }}", "{{ [1] * 9223372036854775807 }}", "{{ 'a' * 100000000 }}",
    "{% set n = namespace(s='ab') %}{% for a in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s=[1]) %}{% for a in range(64) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for a in range(1000) %}{{ s }}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{{ s | replace('', s) }}", "{% set s = 'a' * 1000000 %}{{ s | replace('a', s) }}",
    "{{ 'a' | center(9223372036854775807) }}", "{{ 'a'.zfill(9223372036854775807) }}",
    "{{ 'a' | indent(9223372036854775807) }}",
    "{{ '%999999999d' % 1 }}", "{{ [1] | tojson(indent=999999999) }}", "{{ [1] | batch(999999999) }}",
    "{{ [1] | slice(999999999) }}",
    "{{ range(9223372036854775807) }}", "{{ range(-10, -9223372036854775807, -9223372036854775807) | length + 1 / 0 }}",
    "{{ strftime_now('%Y' * 100000) }}", "{{ 1 | round(999999999) }}",
    // Arithmetic
    "{{ 9223372036854775807 + 1 }}", "{{ 9223372036854775807 * 2 }}", "{{ 10 ** 100 }}",
    "{{ (-9223372036854775807 - 1) // -1 }}",
    "{{ -(-9223372036854775807 - 1) }}", "{{ (-9223372036854775807 - 1) | abs }}", "{{ 99999999999999999999 }}",
    // Stack
    "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "{% macro f(n) %}{% call f(n) %}{% endcall %}{% endmacro %}{{ f(0) }}",
    "{% set n = namespace(x=[]) %}{% for a in range(100000) %}{% set n.x = [n.x] %}{% endfor %}",
    "{% set n = namespace(x=1) %}{% for a in range(100000) %}{% set n.x = {'a': n.x} %}{% endfor %}",
    "{% set n = namespace(x=()) %}{% for a in range(100000) %}{% set n.x = n.x.index %}{% endfor %}{{ 1 / 0 }}",
    "{% set n = namespace() %}{% set n.n = n %}{{ n | tojson }}",
    "{% set n = namespace(a=[]) %}{% for i in range(100000) %}{% set n.a = n.a + [i] %}{% endfor %}",
    "{% set n = namespace(a='') %}{% for i in range(100000) %}{% set n.a = n.a ~ 'xxxxxxxxxxxxxxxxxxxx' %}{% endfor %}",
    "{% for i in range(100000) %}{{ 'a' * 5000 }}{% endfor %}",
  ]

  /// What costs most per step, under the limits that users have. Measured in a release build on two busy cores: all eight in 7 s,
  /// two at a time in 566 MB; splitting a text into millions of words takes most of it.
  static let expensive = [
    "{{ ('a ' * 5000000).split() | length }}{{ 1 / 0 }}", "{{ ('\\u0001' * 8000000) | tojson }}",
    "{{ ('<' * 9000000) | escape }}",
    "{{ ('a' * 15000000).replace('a', 'bbbbbbbb') }}", "{{ ('%s' * 1000000) | format(1) }}",
    "{{ ('\\n' * 3000000) | indent(30) }}",
    "{% for i in range(100000) %}{% set x = range(100000) | list %}{% endfor %}",
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
  ]
}
