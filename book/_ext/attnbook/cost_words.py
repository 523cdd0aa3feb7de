"""The words of the page "What it costs", in both languages."""

from __future__ import annotations

__all__ = ["WORDS"]

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "mechanism": "mechanism",
        "kind": "kind",
        "gate": "gate",
        "mixture": "mixture",
        "parameters": "parameters",
        "macs": "MACs of one image",
        "least": "least traffic, MB",
        "peak_group": "peak memory, × x",
        "cpu": "time on CPU, {threads}, × copy",
        "cuda": "time on GPU, × copy",
        "threads": "{n} threads",
        "thread": "1 thread",
        "forward": "forward",
        "forward+backward": "training step",
        "missing": "not recorded",
        "formula": "formula",
        "grows": "grows with",
        "power_C": "power of\u00a0C",
        "power_N": "power of\u00a0N",
        "peak_long": "peak memory, forward",
        "peak_training_long": "peak memory, training",
        "where": "with",
        "sep": ", ",
        "table_note": (
            "Input (8, 256, 56, 56), float32. MACs are those of one image. Peak memory is what is "
            "alive at once beside x, in multiples of x ({x} MB). Times are multiples of the time "
            "that one copy of x takes on the same machine."
        ),
        "growth_note": (
            "Powers fitted to counts at C = {C} with 56×56 positions, and at {sides} with 256 "
            "channels; after the arrow the power in the limit, where it is another. N = HW. The "
            "formulas of parameters and MACs are exact; those of the peak say what it grows with. "
            "{rule}."
        ),
        "rule": "Groups that do not divide the channels are halved until they do",
        "time_title": "Time in copies of the input, {threads}",
        "time_axis": "copies of x",
        "copy": "one copy",
        "time_caption": (
            "Forward in eval mode and a training step (forward and backward), in copies of x; "
            "medians, the whisker spans the interquartile range. {threads}; the axis is "
            "logarithmic."
        ),
        "roof_title": "Roofline: rate reached over arithmetic intensity, {threads}",
        "roof_x": "arithmetic intensity, MACs per byte",
        "roof_y": "G MACs per second",
        "roof": "roof",
        "roof_caption": (
            "Each point is a mechanism's forward: circles are gates, squares are mixtures. Up to "
            "the bend the roof is the bandwidth of the copy, {copy} GB/s; from {ridge} MACs per "
            "byte on it is the rate of a large product of matrices, {peak} G MACs/s ({threads}, "
            "float32). Both axes are logarithmic. {left}"
        ),
        "roof_left": "Without MACs, and so not drawn: {names}.",
        "same": "{first}: {names} lie on one line. ",
        "list": ", ",
        "chart_caption": "{what}. {same}Dotted: growth with the first and the second power.",
        "of_C": "{what} over the number of channels, at 56×56 positions",
        "of_N": "{what} over the number of positions N = HW, at 256 channels",
        "what_parameters": "Parameters",
        "what_macs": "MACs of one image",
        "what_peak": "Peak memory of the forward beside x (MB, batch size 8)",
        "C": "channels C",
        "N": "positions N",
        "whole": "{name}, at once",
        "no_gpu": (
            "No CUDA device was at hand when these records were made: times on a GPU are not "
            "recorded. On a machine that has one, <code>make time</code> records them, and the "
            "table and this section show them."
        ),
        "busy": (
            "The machine was busy when these times were taken (load {load} on {cores} cores): "
            "take them as a trial."
        ),
        "gpu": "{name}: copy {copy} GB/s, product of matrices {peak} G MACs/s (float32).",
    },
    "zh": {
        "mechanism": "机制",
        "kind": "类型",
        "gate": "门控",
        "mixture": "混合",
        "parameters": "参数量",
        "macs": "单张图的 MACs",
        "least": "最少搬运，MB",
        "peak_group": "峰值内存，× x",
        "cpu": "CPU 耗时，{threads}，× 复制",
        "cuda": "GPU 耗时，× 复制",
        "threads": "{n} 线程",
        "thread": "1 线程",
        "forward": "前向",
        "forward+backward": "训练一步",
        "missing": "未记录",
        "formula": "公式",
        "grows": "增长关系",
        "power_C": "C\u00a0的幂次",
        "power_N": "N\u00a0的幂次",
        "peak_long": "前向峰值内存",
        "peak_training_long": "训练峰值内存",
        "where": "其中",
        "sep": "，",
        "table_note": (
            "输入 (8, 256, 56, 56)，float32。MACs 按单张图计。峰值内存指除 x 以外同时存活的内存，"
            "以 x 的大小（{x} MB）为单位。耗时以同一台机器上复制一次 x 的时间为单位。"
        ),
        "growth_note": (
            "幂次由计数拟合：56×56 个位置、C = {C}；以及 256 个通道、{sides}。箭头之后是极限情形下"
            "的幂次，与拟合值相近时省略。N = HW。参数量与 MACs 的公式是精确的；峰值内存的公式只说明"
            "它随什么增长。{rule}。"
        ),
        "rule": "组数不能整除通道数时，减半到能整除为止",
        "time_title": "耗时，以复制一次输入为单位，{threads}",
        "time_axis": "复制 x 的次数",
        "copy": "复制一次",
        "time_caption": (
            "评估模式下的前向，以及训练一步（前向加反向），以复制一次 x 的时间为单位。取中位数，"
            "须线表示四分位距。{threads}；横轴为对数刻度。"
        ),
        "roof_title": "屋顶线：实际速率与算术强度，{threads}",
        "roof_x": "算术强度，每字节的 MACs",
        "roof_y": "每秒 G MACs",
        "roof": "屋顶",
        "roof_caption": (
            "每个点是一种机制的前向，圆点为门控，方块为混合。拐点左侧，屋顶由复制的带宽"
            "（{copy} GB/s）决定；从每字节 {ridge} 次乘加起，屋顶是大矩阵乘法的速率，"
            "{peak} G MACs/s（{threads}，float32）。两轴均为对数刻度。{left}"
        ),
        "roof_left": "没有乘加、因而未画出的：{names}。",
        "same": "{first}：{names} 落在同一条线上。",
        "list": "、",
        "chart_caption": "{what}。{same}点线分别表示按一次幂和二次幂增长。",
        "of_C": "{what}随通道数的变化，56×56 个位置",
        "of_N": "{what}随位置数 N = HW 的变化，256 个通道",
        "what_parameters": "参数量",
        "what_macs": "单张图的 MACs ",
        "what_peak": "前向除 x 以外的峰值内存（MB，批大小 8）",
        "C": "通道数 C",
        "N": "位置数 N",
        "whole": "{name}，不分块",
        "no_gpu": (
            "制作这些记录时没有 CUDA 设备，所以没有 GPU 上的耗时。在有 CUDA 设备的机器上运行 "
            "<code>make time</code>，就会记录下来，并显示在上面的表和这一节里。"
        ),
        "busy": "测这些耗时的时候机器很忙（{cores} 核，负载 {load}），只能当作试测。",
        "gpu": "{name}：复制 {copy} GB/s，矩阵乘法 {peak} G MACs/s（float32）。",
    },
}
