// SPDX-License-Identifier: Apache-2.0
// Owns the contract of the client tests: a number with an event for every change and a custom error.
pragma solidity ^0.8.20;

contract Counter {
    uint256 public number;
    uint256 public constant LIMIT = 1_000;

    event Changed(address indexed by, uint256 number);
    error TooLarge(uint256 seen, uint256 limit);

    constructor(uint256 start) {
        number = start;
    }

    function set(uint256 next) public {
        if (next > LIMIT) {
            revert TooLarge(next, LIMIT);
        }
        number = next;
        emit Changed(msg.sender, next);
    }

    function increment() external {
        set(number + 1);
    }
}
