// SPDX-License-Identifier: Apache-2.0
// Owns the engine that runs messages: calls, creations, precompiles, over one TxState.
#pragma once

#include "evm/core/code.hpp"
#include "evm/core/keccak_memo.hpp"
#include "evm/core/message.hpp"
#include "evm/core/precompile_set.hpp"
#include "evm/core/rules.hpp"
#include "evm/core/tx_state.hpp"
#include "host/base/reserved_memory.hpp"

namespace millrace::evm {

struct Frame;
class NativeTier;

/// Sees every instruction of every frame, with the gas that the rules have at that point; for
/// debugging and traces (EIP-3155). A run without a tracer does not pay for it: a traced frame runs
/// on a table of its own.
class Tracer {
public:
    virtual ~Tracer() = default;
    /// The instruction at `pc` is about to run and has paid nothing yet: `gas` is what the frame
    /// has left, `stack` has its top at the end.
    virtual void on_instruction(const Frame& frame, uint64_t pc, uint8_t opcode, int64_t gas,
                                std::span<const U256> stack) = 0;
    /// The announced instruction, a call or creation, has paid its price and may now run a frame of
    /// its own. `gas` is what is left to the caller: without the gas that a call hands to its
    /// callee (the stipend is none of it), still with what a creation will hand over.
    virtual void on_call([[maybe_unused]] const Frame& frame, [[maybe_unused]] int64_t gas) {}
    /// The frame ends with the announced instruction. `gas` is what is left; after an error, what
    /// was left when the instruction failed, negative when it asked for more than there was (-1
    /// when no amount would have done).
    virtual void on_frame_end(const Frame& frame, Status status, int64_t gas) = 0;
};

/// The memory that one worker's frames live in: stacks and EVM memory each in one range that never
/// moves, a child's part beginning after its parent's. Reusable; one thread at a time.
struct Workspace {
    Workspace();
    static constexpr size_t stack_limit = 1024;
    static constexpr size_t depth_limit = 1024;

    ReservedMemory stack;
    ReservedMemory memory;
    CodeCache codes;
    TxState state;
    std::vector<Bytes> return_data;  ///< one buffer per depth
    KeccakMemo keccak_memo;
    BarrettModulus mulmod_modulus;  ///< of the last MULMOD: contracts stay with one modulus
    /// Runs frames of compiled code (evm/jit); null for the interpreter alone. Must outlive this.
    NativeTier* native_tier = nullptr;
    size_t memory_used_max = 0;  ///< high-water mark since the last trim
    size_t depth_max = 0;        ///< likewise, of the frames
    /// Takes code that this one lacks from `shared`, and its tier of compiled code. It must outlive
    /// this; null for none.
    void share(SharedCode* shared) noexcept {
        codes.share(shared);
        native_tier = shared != nullptr ? shared->native_tier() : nullptr;
    }
    /// Returns memory beyond 64 MiB to the system; called between transactions.
    void trim() noexcept;
};

/// Runs messages of one transaction. Cheap to construct.
class Evm {
public:
    Evm(Workspace& workspace, const Rules& rules, const PrecompileSet& precompiles,
        const BlockEnvironment& block, const TransactionEnvironment& transaction) noexcept
        : workspace_(workspace),
          rules_(rules),
          precompiles_(precompiles),
          block_(block),
          transaction_(transaction) {}

    /// Runs a call or creation. For creations the caller has already bumped the sender's nonce
    /// and computed `recipient`.
    CallOutcome run(const Message& message);

    TxState& state() noexcept { return workspace_.state; }
    Workspace& workspace() noexcept { return workspace_; }
    const Rules& rules() const noexcept { return rules_; }
    const BlockEnvironment& block() const noexcept { return block_; }
    const TransactionEnvironment& transaction() const noexcept { return transaction_; }

    void set_tracer(Tracer* tracer) noexcept { tracer_ = tracer; }
    Tracer* tracer() const noexcept { return tracer_; }

    /// Where the next frame's stack and memory begin; moved by the interpreter around calls.
    U256* stack_top = nullptr;
    uint8_t* memory_top = nullptr;

private:
    CallOutcome run_call(const Message& message);
    CallOutcome run_create(const Message& message);
    Bytes& return_data_of(const Message& message) noexcept;
    CallOutcome run_code(const Message& message, const AnalyzedCode& code);

    Workspace& workspace_;
    const Rules& rules_;
    const PrecompileSet& precompiles_;
    const BlockEnvironment& block_;
    const TransactionEnvironment& transaction_;
    Tracer* tracer_ = nullptr;
};

/// Address of a contract created with CREATE: low 20 bytes of keccak(rlp([sender, nonce])).
Address create_address(const Address& sender, uint64_t nonce);
/// CREATE2 (EIP-1014): keccak(0xff || sender || salt || keccak(init_code)).
Address create2_address(const Address& sender, const U256& salt, ByteView init_code);

}  // namespace millrace::evm
