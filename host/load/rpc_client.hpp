// SPDX-License-Identifier: Apache-2.0
// Owns calls that wait for their answers: what happens before and after a measurement.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "host/base/u256.hpp"
#include "host/load/answers.hpp"
#include "host/load/transport.hpp"

namespace millrace::load {

/// One connection, one call or batch at a time. Errors name the method and what the node said;
/// `not_found` means that the node does not have the method.
class RpcClient {
public:
    static Result<RpcClient> open(EventLoop& loop, const Endpoint& endpoint);

    struct Call {
        std::string method;
        std::string params;  ///< a JSON array
    };
    /// The result as JSON text.
    Result<std::string> call(const Call& call);
    /// The results in the order of the calls, sent in batches of at most 500.
    Result<std::vector<Result<std::string>>> batch(const std::vector<Call>& calls);

    Result<U256> quantity(const Call& call);
    /// As batch, of quantities; fails when one fails.
    Result<std::vector<U256>> quantities(const std::vector<Call>& calls);

    MessageReader& reader() noexcept { return *reader_; }

private:
    RpcClient(EventLoop& loop, std::unique_ptr<Connection> connection);
    /// Sends and waits for the answers with ids 0 to count - 1.
    Result<std::vector<Result<std::string>>> exchange(std::string_view body,
                                                      std::span<const Call> calls);

    EventLoop* loop_;
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<MessageReader> reader_;
    /// Where the handler puts what comes; on the heap, so that the client can be moved.
    std::unique_ptr<std::optional<Result<std::string>>> inbox_;
};

}  // namespace millrace::load
