"""What the page "On real pictures" says around its numbers, in both languages."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "light": "light",
        "resnet": "ResNet",
        "none": "none",
        "placebo": "placebo",
        "axis": "points of accuracy more than without attention",
        "zero": "without attention",
        "title": "Gain of each mechanism over the host without attention, {data}",
        "data": {"digits": "digits", "cifar10": "CIFAR-10"},
        "caption": (
            "Difference to the same host without attention, mean over {seeds} seeds. Whisker: 95 % "
            "interval of one comparison; thin line: interval that holds for all {comparisons} "
            "together. An interval across zero is noise."
        ),
        "noise": "noise",
        "hint": "hint",
        "better": "better",
        "worse": "worse",
        "head": (
            "mechanism", "host", "parameters", "MACs", "accuracy, %", "SD", "difference",
            "95 % interval", "all together", "verdict",
        ),
        "asked": {
            "coordinate, light minus resnet": "gain of coordinate attention in the light host "
            "minus its gain in the ResNet",
            "gam minus se, light": "GAM minus SE, light host",
            "gam minus se, resnet": "GAM minus SE, ResNet",
        },
        "asked_head": ("question", "difference", "95 % interval", "p", "verdict"),
        "to": " to ",
        "not_recorded": (
            "CIFAR-10: not recorded here. On a machine with a network, {command} downloads the "
            "pictures into the folder <code>DATA</code>, checks them, and writes the record from "
            "which this page then draws the same chart and tables. A GPU is used where there is "
            "one."
        ),
        "setup": (
            "<b>Pictures.</b> {data}: for each seed {training} to train with, the other {test} "
            "to test with, {size}.",
            "<b>Hosts.</b> The light one has {light} parameters, the ResNet {resnet}. Every "
            "mechanism goes into every block with a shortcut: in the light host after the "
            "depthwise convolution, in the ResNet at the end of the branch.",
            "<b>Recipe</b>, the same for all: {epochs} epochs, batches of {batch_size}, AdamW, "
            "learning rate {learning_rate} in one cycle, weight decay {weight_decay}, training "
            "pictures shifted by up to {shift} {pixels}{flip}. The accuracy counted is that of the "
            "last epoch.",
            "<b>Options.</b> The papers' defaults are made for 256 channels and more; here the "
            "hosts have 16 to 128, so that {options}. All else is the modules' default.",
            "<b>Seeds.</b> {seeds}. Trainings with the same seed share their pictures, the host's "
            "starting weights, the order of the batches and the shifts.",
        ),
        "names": {
            "digits": "scikit-learn's handwritten digits",
            "cifar10": "CIFAR-10",
        },
        "pixel": ("pixel", "pixels"),
        "flip": " and mirrored half of the time",
        "followup_head": ("compared", "host", "difference", "95 % interval", "verdict"),
        "followup": {
            "statistics": "CBAM minus none, both with fresh running statistics",
            "wider": "the wider host minus the host, both without attention",
            "gam or wider": "GAM minus the wider host without attention",
            "beside": "multi-head with its input added, minus none",
        },
        "width": " ({} channels for 16)",
        "join": "; ",
        "option": "{keys}: {name} = {value}",
        "comma": ", ",
    },
    "zh": {
        "light": "轻量",
        "resnet": "ResNet",
        "none": "无",
        "placebo": "安慰剂",
        "axis": "比不带注意力高出的准确率（百分点）",
        "zero": "不带注意力",
        "title": "各机制相对于不带注意力的网络的提升，{data}",
        "data": {"digits": "手写数字", "cifar10": "CIFAR-10"},
        "caption": (
            "与同一网络不带注意力时的差值，取 {seeds} 个种子的平均。"
            "须线：单个比较的 95 % 区间；细线：使全部 {comparisons} 个比较同时成立的区间。"
            "跨过零的区间就是噪声。"
        ),
        "noise": "噪声",
        "hint": "迹象",
        "better": "更好",
        "worse": "更差",
        "head": (
            "机制", "网络", "参数量", "乘加", "准确率（%）", "标准差", "差值",
            "95 % 区间", "同时成立的区间", "结论",
        ),
        "asked": {
            "coordinate, light minus resnet": (
                "坐标注意力在轻量网络中的提升，减去它在 ResNet 中的提升"
            ),
            "gam minus se, light": "GAM 减 SE，轻量网络",
            "gam minus se, resnet": "GAM 减 SE，ResNet",
        },
        "asked_head": ("问题", "差值", "95 % 区间", "p", "结论"),
        "to": " 至 ",
        "not_recorded": (
            "CIFAR-10：此处没有记录。在有网络的机器上运行 {command}，"
            "它会把图片下载到 <code>DATA</code> 目录并校验，然后写下记录，"
            "本页便会用它画出同样的图和表。有 GPU 时会用 GPU。"
        ),
        "setup": (
            "<b>图片</b>：{data}；每个种子取 {training} 张训练，其余 {test} 张测试，{size}。",
            "<b>网络</b>：轻量网络有 {light} 个参数，ResNet 有 {resnet} 个。"
            "每种机制都放进每个带捷径的块：轻量网络放在逐深度卷积之后，ResNet 放在残差支路末尾。",
            "<b>训练方案</b>（全部相同）：{epochs} 个 epoch，批大小 {batch_size}，AdamW，"
            "学习率 {learning_rate}（单周期），权重衰减 {weight_decay}，"
            "训练图片随机平移，至多 {shift} {pixels}{flip}。准确率取最后一个 epoch 的。",
            "<b>选项</b>：论文的默认值是为 256 个以上的通道定的，这里只有 16 到 128 个，"
            "所以取 {options}。其余都是模块的默认值。",
            "<b>种子</b>：{seeds} 个。种子相同的训练，"
            "图片、网络的初始权重、批次顺序和平移量都相同。",
        ),
        "names": {"digits": "scikit-learn 自带的手写数字", "cifar10": "CIFAR-10"},
        "pixel": ("个像素", "个像素"),
        "flip": "，并有一半概率左右翻转",
        "followup_head": ("比较", "网络", "差值", "95 % 区间", "结论"),
        "followup": {
            "statistics": "CBAM 减不带注意力，两者都重新估计运行统计量",
            "wider": "加宽的网络减原来的网络，两者都不带注意力",
            "gam or wider": "GAM 减不带注意力的加宽网络",
            "beside": "多头注意力（加上自己的输入）减不带注意力",
        },
        "width": "（16 个通道改为 {} 个）",
        "join": "；",
        "option": "{keys}：{name} = {value}",
        "comma": "、",
    },
}  # fmt: skip
