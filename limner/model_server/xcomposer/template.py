"""Templates that turn messages into prompts with the special tokens of each model's training.

Both templates prepend BOS, put images at their places in a message, and leave the last assistant message open if asked
to continue it. With `raw=true` (a template variable) messages are joined unchanged after BOS, for finished prompts such
as v1's choice among candidates, which was trained with its own marks.
"""

from __future__ import annotations

_BODY = """\
{%- macro body(content) -%}
{%- if content is string -%}{{ content }}{%- else -%}
{%- for part in content -%}
{%- if part.type == 'text' -%}{{ part.text }}
{%- elif part.type in ('image', 'image_url') -%}{{ '<ImageHere>' }}
{%- else -%}{{ raise_exception('A message part is text or an image, not ' ~ part.type ~ '.') }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- for message in messages -%}
{%- if message.role not in ('system', 'user', 'assistant') -%}
{{- raise_exception('A role is system, user or assistant, not ' ~ message.role ~ '.') -}}
{%- endif -%}
{%- if message.role == 'system' and not loop.first -%}
{{- raise_exception('The system message comes first.') -}}
{%- endif -%}
{%- if raw is defined and raw -%}{{- body(message.content) -}}
"""

# As in the model's own `generate` and `chat`; between turns, where those lose their marks, with the web demo's end
# token.
V1 = (
    _BODY
    + """\
{%- elif message.role == 'system' -%}{{- 'meta instruction\\n' ~ body(message.content) ~ '\\nconversation\\n' -}}
{%- elif message.role == 'user' -%}{{- ' <|User|>:' ~ body(message.content) ~ '\\n<TOKENS_UNUSED_0>' -}}
{%- else -%}{{- ' <|Bot|>:' ~ body(message.content) ~ '<TOKENS_UNUSED_1>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and not (raw is defined and raw) -%}{{- ' <|Bot|>:' -}}{%- endif -%}
"""
)

V2 = (
    _BODY
    + """\
{%- else -%}
{{- '[UNUSED_TOKEN_146]' ~ message.role ~ '\\n' ~ body(message.content) ~ '[UNUSED_TOKEN_145]\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt and not (raw is defined and raw) -%}
{{- '[UNUSED_TOKEN_146]assistant\\n' -}}
{%- endif -%}
"""
)

END_OF_TURN = {"xcomposer": "<TOKENS_UNUSED_1>", "xcomposer2": "[UNUSED_TOKEN_145]"}
"""The token that ends an answer, besides `</s>`."""
