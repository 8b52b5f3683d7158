"""Bytes of activations for each token: what a block keeps for its backward pass, and what one holds while it computes.

By counting the tensors that autograd saves, as "Reducing Activation Recomputation in Large Transformer Models" does
(https://arxiv.org/abs/2205.05198, section 4.1), for the blocks that transformers builds today: fused attention keeps no scores (its s^2
term is gone), a gated MLP keeps four products, RMSNorm works in float32, and frozen weights need no inputs kept. Dropout is that of the
adapter, and GPT-2's own. The constants below are numbers of saved tensors, none is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.footprint import BYTES, Footprint
from engine.planning.architecture import Architecture

LOSS_BYTES = 12
"""Of each logit when the backward pass begins: log-softmax, kept in float32 (ForCausalLMLoss), its gradient, and that of the logits."""


@dataclass(frozen=True)
class PerToken:
    """How one model computes under one footprint; methods return bytes for each token.

    attended: tokens that each token can see, where scores are held.
    """

    model: Architecture
    held: Footprint
    attended: int

    @property
    def compute(self) -> int:
        """Bytes of what products return: peft's prepared models cast them back to float32."""
        return 2 if self.held.autocast else self.stream

    @property
    def stream(self) -> int:
        """Bytes of a number between blocks."""
        return 4 if self.held.autocast or self.held.prepared else BYTES[self.held.dtype]

    @property
    def frozen(self) -> bool:
        return self.held.adapter is not None

    @property
    def query(self) -> int:
        return self.model.heads * self.model.head_dim

    @property
    def kernel(self) -> str:
        """SDPA's float32 kernels do not share keys and values among heads, so that it falls back to its math kernel, which holds scores."""
        if self.held.attention != "auto":
            return self.held.attention
        return "math" if self.compute == 4 and self.model.kv_heads < self.model.heads else "fused"

    def kept_by_norm(self, readers: int) -> int:
        """What a norm and the products that read it keep. readers: how many products; under autocast each makes a 16-bit copy of its own."""
        width = self.model.hidden
        kept = 4 if self.model.gated else self.stream  # RMSNorm's input in float32; LayerNorm keeps it as it is
        if not self.frozen:
            kept += self.stream if self.model.gated else 0  # the normed input, for the gradient of the norm's weight
            kept += 2 * readers if self.held.autocast else self.stream
        return kept * width

    def kept_by_attention(self) -> int:
        """Queries, keys, values and the result; where scores are held also those, and keys and values of every head."""
        size, model = self.compute, self.model
        if self.kernel == "fused":
            return size * (2 * self.query + 2 * model.kv_heads * model.head_dim) + 4 * model.heads  # and a float32 log-sum a head
        scores = 4 + (size if size < 4 else 0) if self.kernel == "eager" else size  # softmax in float32, and as the product takes it
        return size * 4 * self.query + scores * model.heads * self.attended

    def kept_by_mlp(self) -> int:
        """Gate, its SiLU, up, and their product, which only a trained last layer needs. GELU of GPT-2 is made of parts that keep theirs."""
        if self.model.gated:
            return (3 if self.frozen else 4) * self.compute * self.model.ffn
        return (16 if self.held.autocast else 5 * self.compute) * self.model.ffn + 3 * self.model.hidden  # and the masks of its dropouts

    def kept_by_adapter(self) -> int:
        """Before each adapted layer a float32 input, or with dropout a mask and what it leaves, and the narrow product."""
        adapter = self.held.adapter
        if adapter is None:
            return 0
        of_input = 5 if adapter.dropout else 4 if self.stream < 4 else 0
        return sum(of_input * m.inputs + 4 * adapter.rank for m in self.model.linears if m.name in adapter.targets)

    def kept_by_block(self) -> int:
        norms = self.kept_by_norm(3 if self.model.gated else 1) + self.kept_by_norm(2 if self.model.gated else 1)
        return norms + self.kept_by_attention() + self.kept_by_mlp() + self.kept_by_adapter()

    def boundary(self) -> int:
        """What a checkpointed block keeps: its input (https://arxiv.org/abs/1604.06174)."""
        return self.stream * self.model.hidden

    def kept_after_blocks(self) -> int:
        return self.kept_by_norm(1)

    def logits(self) -> int:
        return self.model.head

    def made_by_loss(self) -> int:
        """At the end of a forward pass: logits, their float32 copy where they are narrower, and the log-softmax."""
        return self.model.head * (8 + (self.compute if self.compute < 4 else 0))

    def backward_of_block(self) -> int:
        """Gradients in flight in a block's MLP: of the product, of both its factors, and of the stream."""
        return 3 * self.compute * self.model.ffn + self.stream * self.model.hidden

    def forward(self) -> int:
        """Without a backward pass: the most that a block holds at once. In the MLP the block's input, the residual, the normed input and
        the embeddings, which transformers holds on to, beside three products of a gated MLP; or the scores, twice."""
        model, size = self.model, self.compute
        packing = self.held.packing
        product = packing.product_bytes * model.ffn + (model.hidden if packing.product_bytes else 0) if packing else 0
        mlp = size * (4 * model.hidden + (3 if model.gated else 2) * model.ffn) + product
        if self.kernel == "fused":
            return mlp
        scores = (4 + 2 * size if self.kernel == "eager" else 2 * size) * model.heads * self.attended
        return max(mlp, scores + size * (5 * self.query + 3 * model.hidden))
