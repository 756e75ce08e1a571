"""The learner's fast form on a CPU: estimate, inverse and Thompson choice that skip work exactly."""
