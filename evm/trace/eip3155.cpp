// SPDX-License-Identifier: Apache-2.0
// Owns how a step of the interpreter becomes a line of JSON.
#include "evm/trace/eip3155.hpp"

#include "evm/core/frame.hpp"
#include "evm/core/opcodes.hpp"

namespace millrace::evm {
namespace {

constexpr size_t flush_bytes = size_t{1} << 16;
constexpr char digits[] = "0123456789abcdef";

// The text of a trace is large: everything is appended in place.

void append_bytes(std::string& out, ByteView bytes) {
    for (const uint8_t b : bytes) {
        out += digits[b >> 4];
        out += digits[b & 15];
    }
}

void append_hex(std::string& out, ByteView bytes) {
    out += "\"0x";
    append_bytes(out, bytes);
    out += '"';
}

void append_quantity(std::string& out, const U256& v) {
    out += "\"0x";
    const unsigned digit_count = std::max(1u, (bit_length(v) + 3) / 4);
    for (unsigned i = digit_count; i-- > 0;) { out += digits[v.w[i / 16] >> (4 * (i % 16)) & 15]; }
    out += '"';
}

void append_quantity(std::string& out, uint64_t v) { append_quantity(out, U256{v}); }

/// A JSON string that stays ASCII whatever the text holds (a contract may have chosen it).
void append_text(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte > 0x7e) {
            out += "\\u00";
            append_bytes(out, {&byte, 1});
        } else {
            out += c;
        }
    }
    out += '"';
}

void append_number(std::string& out, std::string_view key, int64_t v) {
    out += key;
    out += std::to_string(v);
}

std::string_view error_text(Status status) noexcept {
    return status == Status::success ? std::string_view{} : to_string(status);
}

}  // namespace

Eip3155Tracer::~Eip3155Tracer() { flush(); }

void Eip3155Tracer::on_instruction(const Frame& frame, uint64_t pc, uint8_t opcode, int64_t gas,
                                   std::span<const U256> stack) {
    end_line(gas, {});
    begin_line(frame, pc, opcode, gas, stack);
}

void Eip3155Tracer::on_call(const Frame&, int64_t gas) { end_line(gas, {}); }

void Eip3155Tracer::on_frame_end(const Frame&, Status status, int64_t gas) {
    end_line(gas, error_text(status));
}

void Eip3155Tracer::begin_line(const Frame& frame, uint64_t pc, uint8_t opcode, int64_t gas,
                               std::span<const U256> stack) {
    pending_ = true;
    gas_before_ = gas;

    head_ = "{\"pc\":";
    head_ += std::to_string(pc);
    append_number(head_, ",\"op\":", opcode);
    head_ += ",\"gas\":";
    append_quantity(head_, static_cast<uint64_t>(gas));
    head_ += ",\"gasCost\":";

    middle_ = ",\"stack\":[";
    for (const U256& v : stack) {
        if (&v != stack.data()) { middle_ += ','; }
        append_quantity(middle_, v);
    }
    append_number(middle_, "],\"depth\":", frame.message->depth + 1);
    if (fields_.return_data) {
        middle_ += ",\"returnData\":";
        append_hex(middle_, *frame.return_data);
    }
    append_number(middle_, ",\"refund\":", frame.state->refund());
    append_number(middle_, ",\"memSize\":", static_cast<int64_t>(frame.memory_size));
    middle_ += ",\"opName\":";
    append_text(middle_, opcode_name(opcode));

    memory_.clear();
    if (fields_.memory) {
        memory_ = ",\"memory\":";
        append_hex(memory_, {frame.memory, frame.memory_size});
    }
}

void Eip3155Tracer::end_line(int64_t gas_after, std::string_view error) {
    if (!pending_) { return; }
    pending_ = false;
    text_ += head_;
    append_quantity(text_, static_cast<uint64_t>(gas_before_) - static_cast<uint64_t>(gas_after));
    text_ += middle_;
    if (!error.empty()) {
        text_ += ",\"error\":";
        append_text(text_, error);
    }
    text_ += memory_;
    text_ += "}\n";
    if (text_.size() >= flush_bytes) { flush(); }
}

void Eip3155Tracer::write_summary(const TraceSummary& s) {
    text_ += '{';
    if (s.state_root) {
        text_ += "\"stateRoot\":";
        append_hex(text_, s.state_root->view());
        text_ += ',';
    }
    text_ += "\"output\":\"";
    append_bytes(text_, s.output);
    text_ += "\",\"gasUsed\":";
    append_quantity(text_, s.gas_used);
    text_ += s.pass ? ",\"pass\":true" : ",\"pass\":false";
    if (!s.error.empty()) {
        text_ += ",\"error\":";
        append_text(text_, s.error);
    }
    if (s.time_ns) {
        text_ += ",\"time\":";
        text_ += std::to_string(*s.time_ns);
    }
    text_ += ",\"fork\":";
    append_text(text_, s.fork);
    text_ += "}\n";
    flush();
}

void Eip3155Tracer::flush() {
    if (!text_.empty()) { write_(text_); }
    text_.clear();
}

}  // namespace millrace::evm
