"""Facts that every part of Tollkeeper shares: errors, money, key format and the generated contract."""
