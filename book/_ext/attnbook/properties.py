"""The page "mechanism × property": what the test run proved of every module.

    :::{property-table}

The tests of ``tests/mechanisms`` write ``book/properties.json`` (``pytest --properties FILE``, part
"unit" of `make test`): for each mechanism and each property of their shared contract one of
``passed``, ``failed``, ``no CUDA device`` or ``impossible: why``.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook.languages import edition_of

FILE = "book/properties.json"

#: Property of the contract → its name in the table, in both languages.
NAMES: dict[str, tuple[str, str]] = {
    "value": ("equals the naive formula (float64)", "与朴素公式一致（float64）"),
    "attention": ("attention(x) gives the output", "attention(x) 能还原输出"),
    "parameters": ("parameter count, closed form", "参数量符合公式"),
    "random_configurations": ("random valid configurations", "随机的合法配置"),
    "gradcheck": ("gradients (float64)", "梯度检查（float64）"),
    "every_parameter_learns": ("every parameter learns", "每个参数都有梯度"),
    "any_size": ("any H and W", "任意 H、W"),
    "batch_1_in_train_mode": ("batch of 1 in train mode", "训练模式下批大小为 1"),
    "channels_last": ("channels-last memory kept", "保持 channels-last 布局"),
    "non_contiguous": ("non-contiguous input", "不连续的输入"),
    "input_is_not_modified": ("input left alone", "不改动输入"),
    "low_precision": ("float16, bfloat16", "float16、bfloat16"),
    "autocast": ("autocast", "自动混合精度"),
    "compile": ("torch.compile, full graph", "torch.compile 整图"),
    "inductor": ("Inductor", "Inductor"),
    "export": ("torch.export, dynamic sizes", "torch.export 动态尺寸"),
    "onnx": ("ONNX Runtime, another size", "ONNX Runtime 换尺寸"),
    "copies": ("deepcopy, pickle, state dict", "deepcopy、pickle、state dict"),
    "device_and_dtype": ("device=, dtype=, meta", "device=、dtype=、meta"),
    "deterministic": ("deterministic mode", "确定性模式"),
    "wrong_input": ("wrong input is named", "错误输入报清楚"),
    "channels_only_positional": ("one positional argument", "只有一个位置参数"),
    "cuda": ("CUDA", "CUDA"),
}
#: Outcome → sign and wording; the sign is never alone, screen readers get the words.
SIGNS = {
    "passed": ("✓", "holds", "成立"),
    "failed": ("✗", "failed", "未通过"),
    "no CUDA device": ("–", "not run: no CUDA device", "未运行：没有 CUDA 设备"),
}


def load(root: Path) -> dict[str, dict[str, str]]:
    """Mechanism → property → outcome, as the last test run left them."""
    outcomes: dict[str, dict[str, str]] = json.loads((root / FILE).read_text())
    return outcomes


def draw(outcomes: dict[str, dict[str, str]], language: str) -> str:
    """The table: a row for each property, a column for each mechanism."""
    which = 0 if language == "en" else 1
    corner = ("property", "性质")[which]
    head = "".join(f'<th scope="col"><code>{escape(key)}</code></th>' for key in outcomes)
    rows = []
    notes: list[str] = []
    for name, names in NAMES.items():
        cells = []
        for key, properties in outcomes.items():
            outcome = properties[name]
            if outcome.startswith("impossible: "):
                reason = f"{key}, {names[which]}: {outcome.removeprefix('impossible: ')}"
                notes.append(reason)
                sign, word = f"({len(notes)})", reason
            else:
                sign, *words = SIGNS[outcome]
                word = words[which]
            cells.append(
                f'<td><span aria-hidden="true">{sign}</span>'
                f'<span class="visually-hidden">{escape(word)}</span></td>'
            )
        rows.append(f'<tr><th scope="row">{escape(names[which])}</th>{"".join(cells)}</tr>')
    footer = "".join(f"<p>({i}) {escape(note)}</p>" for i, note in enumerate(notes, 1))
    return (
        f'<div class="table-scroll" tabindex="0"><table class="properties">'
        f'<thead><tr><th scope="col">{corner}</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{footer}"
    )


class PropertyTable(Directive):
    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        env.note_dependency(str(Path(env.srcdir) / FILE))
        html = draw(load(Path(env.srcdir)), edition_of(env.config.language).code)
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> None:
    app.add_directive("property-table", PropertyTable)
