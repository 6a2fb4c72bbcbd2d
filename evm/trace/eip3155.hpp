// SPDX-License-Identifier: Apache-2.0
// Owns the text of execution traces in the form of EIP-3155: one JSON object a line.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "evm/core/evm.hpp"

namespace millrace::evm {

/// What a line carries besides the fields that every line has.
struct TraceFields {
    bool memory = false;       ///< all of the frame's memory
    bool return_data = false;  ///< what the frame's last call or creation returned
};

/// The last line of a trace.
struct TraceSummary {
    std::optional<Hash256> state_root;  ///< after the run
    ByteView output;
    uint64_t gas_used = 0;
    bool pass = false;
    std::string_view error;           ///< any text; left out when empty
    std::optional<uint64_t> time_ns;  ///< that the run took
    std::string_view fork;
};

/// Writes a line for every instruction and, when told to, the summary.
///
/// The fields, in the order of the EIP: pc, op, gas, gasCost, stack (top last), depth (1 for the
/// first frame), returnData, refund, memSize (bytes), opName, error, memory. Stack, memory, gas and
/// refund are those before the instruction. As in geth's traces `refund` is a plain number, and
/// `gasCost` is measured:
/// - of a call it includes the gas that is handed to the callee, but no stipend; the callee's lines
///   follow. Of a creation it does not include what the init code gets.
/// - of an instruction that fails it is what it was charged up to there: more than `gas` when it
///   ran out (one more when no amount would have done), zero when it did not come to its price.
///   The rest of the frame's gas is lost and in no line.
/// One line stands for one instruction: a failing one, or REVERT, has `error` on its only line. The
/// STOP that a frame reaches by running off its code's end is a line, too.
class Eip3155Tracer final : public Tracer {
public:
    /// Takes whole lines, each with its line feed, many at a time.
    using Write = std::function<void(std::string_view lines)>;

    explicit Eip3155Tracer(Write write, TraceFields fields = {})
        : write_(std::move(write)), fields_(fields) {}
    /// Flushes.
    ~Eip3155Tracer() override;
    Eip3155Tracer(const Eip3155Tracer&) = delete;
    Eip3155Tracer& operator=(const Eip3155Tracer&) = delete;

    void on_instruction(const Frame& frame, uint64_t pc, uint8_t opcode, int64_t gas,
                        std::span<const U256> stack) override;
    void on_call(const Frame& frame, int64_t gas) override;
    void on_frame_end(const Frame& frame, Status status, int64_t gas) override;

    /// {stateRoot, output (without 0x, as in the EIP's sample), gasUsed, pass, error, time, fork}
    void write_summary(const TraceSummary& summary);
    /// Hands on everything that is buffered.
    void flush();

private:
    void begin_line(const Frame& frame, uint64_t pc, uint8_t opcode, int64_t gas,
                    std::span<const U256> stack);
    /// Completes the line in progress, if there is one: its price is known now.
    void end_line(int64_t gas_after, std::string_view error);

    Write write_;
    TraceFields fields_;
    std::string text_;  ///< complete lines
    // The line in progress, around the price that is not known yet. There is never more than one:
    // a caller's line is complete before its callee's first begins.
    bool pending_ = false;
    int64_t gas_before_ = 0;
    std::string head_;
    std::string middle_;
    std::string memory_;
};

}  // namespace millrace::evm
