"""The structures of the book as diagrams: the starting point of each chapter's picture."""

from attnlib.lab.diagram import Diagram


def se():
    d = Diagram("Squeeze-and-Excitation")
    x = d.tensor("X", "C×H×W")
    z = x.op("mean over H, W").tensor("z", "C×1×1")
    s = z.layer("FC, C → C/r").op("ReLU").layer("FC, C/r → C").op("σ").weights("s", "C×1×1")
    (x * s).tensor("Y", "C×H×W")
    return d


def cbam():
    d = Diagram("CBAM: channel attention, then spatial attention")
    x = d.tensor("F", "C×H×W")
    with d.group("channel attention"):
        avg, peak = x.op("mean\nover H, W"), x.op("max\nover H, W")
        avg, peak = d.shared("shared MLP\nC → C/r → C", avg, peak)
        m_c = (avg + peak).op("σ").weights("M_c", "C×1×1")
    f = (x * m_c).tensor("F′", "C×H×W")
    with d.group("spatial attention"):
        pooled = d.concat(f.op("mean\nover C"), f.op("max\nover C")).tensor("", "2×H×W")
        m_s = pooled.layer("7×7 conv, BN").op("σ").weights("M_s", "1×H×W")
    (f * m_s).tensor("F″", "C×H×W")
    return d


def bam():
    d = Diagram("BAM")
    x = d.tensor("F", "C×H×W")
    with d.group("channel"):
        m_c = x.op("mean over\nH, W").layer("MLP\nC → C/r → C").tensor("M_c", "C×1×1")
    with d.group("spatial"):
        context = x.layer("1×1 conv\nC → C/r").layer("two 3×3 convs\ndilation 4")
        m_s = context.layer("1×1 conv → 1").tensor("M_s", "1×H×W")
    m = (m_c + m_s).op("σ").weights("M", "C×H×W")
    (x + x * m).tensor("F′", "C×H×W")
    return d


def eca():
    d = Diagram("Efficient Channel Attention")
    x = d.tensor("X", "C×H×W")
    y = x.op("mean over H, W").tensor("y", "C×1×1")
    w = y.layer("1-D conv over C, k taps").op("σ").weights("ω", "C×1×1")
    (x * w).tensor("Y", "C×H×W")
    return d


def shuffle():
    d = Diagram("Shuffle Attention")
    x = d.tensor("X", "C×H×W")
    with d.group("group", times="× G, same parameters"):
        x1, x2 = x.split("split the channels in two")
        x1, x2 = x1.tensor("x_1", "C/2G×H×W"), x2.tensor("x_2", "C/2G×H×W")
        s1 = x1.op("mean\nover H, W").layer("scale, shift").op("σ").weights("", "C/2G×1×1")
        s2 = x2.layer("GroupNorm").layer("scale, shift").op("σ").weights("", "C/2G×H×W")
        y = d.concat(x1 * s1, x2 * s2)
    y.op("channel shuffle").tensor("Y", "C×H×W")
    return d


def _polarized_channel(d, x):
    with d.group("channel"):
        v, q = x.layer("W_v\nC → C/2"), x.layer("W_q\nC → 1").op("softmax\nover HW")
        z = (v @ q).tensor("", "C/2×1×1")
        return z.layer("W_z, LN").op("σ").weights("A^{ch}", "C×1×1")


def _polarized_spatial(d, x):
    with d.group("spatial"):
        q = x.layer("W_q\nC → C/2").op("mean over\nH, W").op("softmax\nover C/2")
        v = x.layer("W_v\nC → C/2")
        return (q @ v).op("σ").weights("A^{sp}", "1×H×W")


def psa_parallel():
    d = Diagram("Polarized Self-Attention, parallel")
    x = d.tensor("X", "C×H×W")
    channel, spatial = _polarized_channel(d, x), _polarized_spatial(d, x)
    (x * (channel + spatial)).tensor("Y", "C×H×W")
    return d


def psa_sequential():
    d = Diagram("Polarized Self-Attention, sequential")
    x = d.tensor("X", "C×H×W")
    z = (x * _polarized_channel(d, x)).tensor("Z", "C×H×W")
    (z * _polarized_spatial(d, z)).tensor("Y", "C×H×W")
    return d


def sge():
    d = Diagram("Spatial Group-wise Enhance")
    x = d.tensor("X", "C×H×W")
    with d.group("group", times="× G"):
        part = x.tensor("x", "C/G×H×W")
        g = part.op("mean over H, W").tensor("g", "C/G×1×1")
        c = d.op("dot product ⟨g, x_i⟩", part, g).tensor("c", "1×H×W")
        a = c.op("normalise over H, W").layer("γ · ĉ + β").op("σ").weights("", "1×H×W")
        y = part * a
    y.tensor("Y", "C×H×W")
    return d


def coordinate():
    d = Diagram("Coordinate Attention")
    x = d.tensor("X", "C×H×W")
    z_h = x.op("mean over W").tensor("z^h", "C×H×1")
    z_w = x.op("mean over H").tensor("z^w", "C×1×W")
    f = d.concat(z_h, z_w).layer("1×1 conv C → C/r, BN").op("h-swish").tensor("f", "C/r×(H+W)×1")
    f_h, f_w = f.split("split into H and W")
    g_h = f_h.layer("1×1 conv").op("σ").weights("g^h", "C×H×1")
    g_w = f_w.layer("1×1 conv").op("σ").weights("g^w", "C×1×W")
    d.multiply(x, g_h, g_w).tensor("Y", "C×H×W")
    return d


def gam():
    d = Diagram("Global Attention Mechanism")
    x = d.tensor("F_1", "C×H×W")
    with d.group("channel attention"):
        z = x.op("permute to H×W×C").layer("MLP, C → C/r → C").op("permute to C×H×W")
        m_c = z.op("σ").weights("M_c", "C×H×W")
    f = (x * m_c).tensor("F_2", "C×H×W")
    with d.group("spatial attention"):
        z = f.layer("7×7 conv C → C/r, BN").op("ReLU").layer("7×7 conv C/r → C, BN")
        m_s = z.op("σ").weights("M_s", "C×H×W")
    (f * m_s).tensor("F_3", "C×H×W")
    return d


def position():
    d = Diagram("Position attention of DANet")
    x = d.tensor("X", "C×H×W")
    q = x.layer("1×1 conv").tensor("Q", "C/8×N")
    k = x.layer("1×1 conv").tensor("K", "C/8×N")
    v = x.layer("1×1 conv").tensor("V", "C×N")
    s = d.op("Qᵀ @ K", q, k).op("softmax over keys").weights("S", "N×N")
    y = d.op("V @ Sᵀ", s, v).layer("× γ, at first 0").tensor("", "C×H×W")
    (x + y).tensor("Y", "C×H×W")
    return d


def channel():
    d = Diagram("Channel attention of DANet")
    x = d.tensor("X", "C×H×W")
    rows = x.op("flatten").tensor("X", "C×N")
    a = d.op("X @ Xᵀ", rows, rows).op("row maximum − energy").op("softmax").weights("A", "C×C")
    y = d.op("A @ X", a, rows).layer("× γ, at first 0").tensor("", "C×H×W")
    (x + y).tensor("Y", "C×H×W")
    return d


def danet():
    d = Diagram("DANet's head")
    x = d.tensor("X", "2048×H×W")
    branches = []
    for name in ("position", "channel"):
        with d.group(""):
            features = x.layer("3×3 conv, BN, ReLU").tensor("", "512×H×W")
            attended = features.layer(f"{name} attention")
            branches.append(attended.layer("3×3 conv, BN, ReLU").tensor("", "512×H×W"))
    d.add(*branches).layer("1×1 conv → classes").tensor("Y", "classes×H×W")
    return d


def criss_cross():
    d = Diagram("Criss-cross attention")
    x = d.tensor("X", "C×H×W")
    q = x.layer("1×1 conv").tensor("Q", "C/8×H×W")
    k = x.layer("1×1 conv").tensor("K", "C/8×H×W")
    v = x.layer("1×1 conv").tensor("V", "C×H×W")
    a = d.op("q · k along\nrow and column", q, k).op("softmax").weights("A", "H×W×(H+W)")
    y = d.op("weighted sum of v", a, v).layer("× γ, at first 0").tensor("", "C×H×W")
    (x + y).tensor("Y", "C×H×W")
    return d


def ccnet():
    d = Diagram("CCNet's head")
    x = d.tensor("X", "2048×H×W")
    f = x.layer("3×3 conv, BN").tensor("", "512×H×W")
    with d.group("", times="× R, same parameters"):
        f = f.layer("criss-cross attention").tensor("", "512×H×W")
    f = f.layer("3×3 conv, BN").tensor("", "512×H×W")
    d.concat(x, f).layer("3×3 conv, BN").layer("1×1 conv → classes").tensor("Y", "classes×H×W")
    return d


def multihead():
    d = Diagram("Multi-head attention")
    x = d.tensor("X", "C×H×W").op("one token per position").tensor("", "N×C")
    with d.group("head", times="× h"):
        q, k, v = (x.layer(f"W_{name}").tensor(name, "N×d") for name in "QKV")
        a = d.op("Q @ Kᵀ / √d", q, k).op("softmax over keys").weights("A", "N×N")
        y = d.op("A @ V", a, v).tensor("", "N×d")
    y.op("concatenate heads").layer("W_O").tensor("Y", "C×H×W")
    return d


GALLERY = {
    f.__name__: f
    for f in (
        se,
        cbam,
        bam,
        eca,
        shuffle,
        psa_parallel,
        psa_sequential,
        sge,
        coordinate,
        gam,
        position,
        channel,
        danet,
        criss_cross,
        ccnet,
        multihead,
    )
}
