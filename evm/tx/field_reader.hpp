// SPDX-License-Identifier: Apache-2.0
// Owns the reading of an RLP list field by field with errors that name the field.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "host/base/rlp.hpp"

namespace millrace::evm::detail {

/// Puts `where` in front of the message of a failed result.
template <class T>
[[nodiscard]] Result<T> in_context(Result<T> result, std::string_view where) {
    if (!result) { result.error().message.insert(0, std::string(where) + ": "); }
    return result;
}

/// A list whose fields are read in order; `what` names the object in error messages and must
/// outlive the reader.
class FieldReader {
public:
    FieldReader(rlp::Reader reader, std::string_view what) noexcept
        : reader_(reader), what_(what) {}

    bool at_end() const noexcept { return reader_.at_end(); }
    bool next_is_list() const noexcept { return reader_.next_is_list(); }

    Result<ByteView> bytes(std::string_view name) { return named(reader_.bytes(), name); }
    Result<uint64_t> u64(std::string_view name) { return named(reader_.u64(), name); }
    Result<U256> u256(std::string_view name) { return named(reader_.u256(), name); }
    Result<Hash256> hash(std::string_view name) { return named(reader_.hash(), name); }
    Result<Address> address(std::string_view name) { return named(reader_.address(), name); }
    Result<rlp::Reader> list(std::string_view name) { return named(reader_.list(), name); }
    template <size_t N>
    Result<FixedBytes<N>> fixed(std::string_view name) {
        return named(reader_.template fixed<N>(), name);
    }
    /// An integer of 0 or 1.
    Result<bool> flag(std::string_view name) {
        MILLRACE_TRY(const U256 v, u256(name));
        if (v > U256{1}) { return error(name, "is neither 0 nor 1"); }
        return v == U256{1};
    }
    Result<void> end() const {
        return in_context(reader_.end(), std::string(what_) + " has too many fields");
    }

    [[nodiscard]] std::unexpected<Error> error(std::string_view name,
                                               std::string_view problem) const {
        return fail(ErrorCode::invalid_input, std::string(what_) + ": field '" + std::string(name) +
                                                  "' " + std::string(problem));
    }
    /// Names this object and the field in an error of something nested.
    template <class T>
    [[nodiscard]] Result<T> named(Result<T> result, std::string_view name) const {
        if (!result) {
            result.error().message.insert(0, std::string(what_) + ": field '" + std::string(name) +
                                                 "': ");
        }
        return result;
    }

private:
    rlp::Reader reader_;
    std::string_view what_;
};

/// Decodes every item of a list with `decode(Reader&) -> Result<T>`. Room is reserved for no more
/// items than `item_bytes_min` allows, so that a hostile list of empty items costs nothing.
template <class T, class Decode>
[[nodiscard]] Result<std::vector<T>> read_items(rlp::Reader reader, size_t item_bytes_min,
                                                Decode&& decode) {
    std::vector<T> items;
    MILLRACE_TRY(const size_t count, reader.count());
    items.reserve(std::min(count, reader.rest().size() / item_bytes_min));
    while (!reader.at_end()) {
        Result<T> item = decode(reader);
        if (!item) {
            return in_context(Result<std::vector<T>>(std::unexpected(std::move(item).error())),
                              "item " + std::to_string(items.size()));
        }
        items.push_back(*std::move(item));
    }
    return items;
}

}  // namespace millrace::evm::detail
